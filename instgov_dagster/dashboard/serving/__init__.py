"""How pages reach a browser: the watcher, the documents, the server, the monitor's text."""
