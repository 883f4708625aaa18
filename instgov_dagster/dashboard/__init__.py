"""What people look at: figures, pages, the live server, the static report; nothing is decided."""
