"""C source as text: comments, directives, declarations at file scope, and names.

Knows as much of C as the amalgamation needs, and relies on what CI holds: clang-format's layout, and names at file scope
that are unique over the library.
"""

import re

TOKEN = re.compile(
    r"""(?P<comment>/\*.*?\*/|//[^\n]*)
      | (?P<string>"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*')
      | (?P<directive>^[ \t]*\#(?:\\\n|/\*.*?\*/|[^\n])*)
      | (?P<name>[A-Za-z_]\w*)
      | (?P<number>\.?\d(?:[eEpP][+-]|[\w.])*)
      | (?P<arrow>->|\.\.\.|\#\#)
      | (?P<space>[ \t\n\\]+)
      | (?P<mark>.)""",
    re.S | re.M | re.X,
)
INSIDE = re.compile(TOKEN.pattern.replace(r"| (?P<directive>^[ \t]*\#(?:\\\n|/\*.*?\*/|[^\n])*)", ""), re.S | re.M | re.X)


def tokens(text, directives=True):
    """(kind, text, position) of each token. With `directives` a directive is one token, else it is taken apart."""
    for match in (TOKEN if directives else INSIDE).finditer(text):
        yield match.lastgroup, match[0], match.start()


def names(text):
    """All identifiers outside comments and strings."""
    return {word for kind, word, _ in tokens(text, directives=False) if kind == "name"}


def without_comments(text):
    return "".join(" " if kind == "comment" else word for kind, word, _ in tokens(text))


class Declaration:
    """One at file scope: where it begins, its words up to a body or an initialiser, and what it is."""

    def __init__(self, start):
        self.start = start
        self.end = None
        self.words = []  # at depth 0, without what brackets hold
        self.has_body = False  # of a function
        self.has_braces = False

    @property
    def is_type(self):
        if self.words[0] in ("typedef", "_Static_assert"):
            return True
        words = [w for w in self.words if w not in ("const", "__attribute__", "(", ")")]
        return words[0] in ("struct", "union", "enum") and (len(words) <= 2 or words[1] == "{" or words[2] == "{") and (
            words[-1] in ("}", words[0]) or len(words) == 2)

    @property
    def is_function(self):
        return "(" in self.words and "=" not in self.words

    @property
    def is_static(self):
        return "static" in self.words or "INLINE" in self.words

    @property
    def is_array_without_size(self):
        return "[]" in self.words

    @property
    def declared(self):
        """The names that it declares."""
        found, previous = [], None
        for word in self.words:
            if word in ("(", "=", "[", "[]", ",", ";") and previous and re.match(r"[A-Za-z_]", previous):
                found.append(previous)
            if word in ("(", "="):
                break
            previous = word
        return found


def _ends_at_newline(words):
    """A macro that stands alone on its line, such as PROTOBUF_C__BEGIN_DECLS, or a call of one that makes definitions."""
    return len(words) in (1, 3) and words[0].isupper() and words[1:] in ([], ["(", ")"])


def declarations(text):
    """The declarations at file scope, in order."""
    current, depth, stack, line_ended = None, 0, [], False
    previous = ""
    for kind, word, position in tokens(text):
        if kind in ("comment", "directive"):
            continue
        if kind == "space":
            if "\n" in word and current and depth == 0 and _ends_at_newline(current.words):
                current = None
            continue
        if current is None:
            if word in (";", "}"):  # behind an initialiser, or of extern "C"
                continue
            current = Declaration(position)
        if depth == 0 and kind == "name" and _ends_at_newline(current.words) and len(current.words) == 3:
            current = Declaration(position)
        if word in "([{":
            if depth == 0:
                current.words.append(word)
                if word == "{":
                    current.has_braces = True
                    current.has_body = previous == ")" and not {"=", "typedef"} & set(current.words)
                    if current.words[0] == "extern" and len(current.words) == 3:  # extern "C" {
                        current, previous = None, ""
                        continue
            depth += 1
        elif word in ")]}":
            depth -= 1
            if depth == 0:
                if word == "]" and previous == "[":
                    current.words[-1] = "[]"
                elif word != "]":
                    current.words.append(word)
                if word == "}" and current.has_body:
                    current.end = position + 1
                    yield current
                    current = None
        elif depth == 0:
            if word == ";":
                current.words.append(";")
                current.end = position + 1
                current.words.pop()
                if current.words:
                    yield current
                current = None
            else:
                current.words.append(word)
        previous = word
