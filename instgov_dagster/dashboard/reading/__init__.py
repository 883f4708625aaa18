"""What is read of a home: its publications, the tail of its journal, its signs; no store."""
