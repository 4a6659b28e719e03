"""What tests measured, printed as tables when all are done."""

FOUND: dict[str, list[dict]] = {}


def add(title: str, **row):
    """A line of a table."""
    FOUND.setdefault(title, []).append(row)


def lines() -> list[str]:
    """All tables, each with its title."""
    said = []
    for title, rows in FOUND.items():
        names = list(rows[0])
        cells = [names, *([str(row[name]) for name in names] for row in rows)]
        widths = [max(len(line[place]) for line in cells) for place in range(len(names))]
        said += [title, *("  ".join(cell.ljust(width) for cell, width in zip(line, widths)).rstrip() for line in cells), ""]
    return said
