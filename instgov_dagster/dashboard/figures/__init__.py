"""Tables in, Plotly figures out: pure, and the same ones on the live pages and in the report."""
