"""What the tests of the report share."""

from genbench.report.page import section, together, write_page


def write_report(records, skipped, out):
    """Write the plots and the page of records that have no files to be read from; all their paths."""
    groups = {}
    for record in records:
        groups.setdefault(record.protocol_hash, []).append(record)
    return write_page(together([section(group, out) for group in groups.values()]), skipped, out)
