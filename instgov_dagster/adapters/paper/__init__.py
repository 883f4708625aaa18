"""The paper account as a durable record of its own: its tables, and the one that writes them."""
