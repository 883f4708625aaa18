"""The commands, one module for each thing a user asks for."""
