"""What a walk carries from day to day and keeps: its memory, its state, its tables, its place."""
