"""A report page as tests read it."""

import html.parser


class Parsed(html.parser.HTMLParser):
    """Ids, links, resources, text, and the cells of every table.

    tables: by the id of its section, (class, text) of each cell, without footnotes.
    """

    def __init__(self, page: str):
        super().__init__()
        self.ids, self.links, self.resources, self.open = [], [], [], []
        self.tables = {}
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        by_name = dict(attrs)
        if "id" in by_name:
            self.ids.append(by_name["id"])
        if tag == "a":
            self.links.append(by_name["href"])
        else:
            names = ("src", "srcset", "data", "href")
            self.resources += [by_name[name] for name in names if name in by_name]
        if tag not in ("meta", "link", "img", "br"):
            self.open.append(tag)
        if tag == "section":
            self.tables[by_name["id"]] = []
        if tag in ("td", "th"):
            self.last_table.append((by_name.get("class", ""), ""))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if "script" not in self.open and "style" not in self.open:
            self.text += data
        in_cell = {"td", "th"} & set(self.open)
        if in_cell and "sup" not in self.open:
            kind, text = self.last_table.pop()
            self.last_table.append((kind, text + data))

    @property
    def last_table(self):
        return list(self.tables.values())[-1]
