"""Tables, plots and the HTML report of finished runs. Nothing here imports torch.

`genbench.report.tables` builds the tables, `formats` and `terminal` show them, `plots` and `page` draw and write; each
imports what is heavy for itself, so that this package costs nothing by itself.
"""
