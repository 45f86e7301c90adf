"""Structs that may grow: whether the members of the first dump stand in the second one as they were, and further ones
behind them.

    python3 tests/abi/check_members.py OLD.abi NEW.abi STRUCT...

abidiff leaves out whatever else has changed in a struct that has a new member. Prints each difference; exit code 1 if
there is any.
"""

import sys
import xml.etree.ElementTree as tree


class Dump:
    def __init__(self, path):
        self.types = {one.get("id"): one for one in tree.parse(path).iter() if one.get("id")}
        self.structs = {one.get("name"): one for one in self.types.values() if one.tag == "class-decl"}

    def type_text(self, number):
        """A type in words; structs and enums by their names, which are compared elsewhere."""
        one = self.types[number]
        if one.tag == "pointer-type-def":
            return self.type_text(one.get("type-id")) + " *"
        if one.tag == "qualified-type-def":
            return "const " * (one.get("const") == "yes") + self.type_text(one.get("type-id"))
        if one.tag == "array-type-def":
            return self.type_text(one.get("type-id")) + "".join(f"[{part.get('length')}]" for part in one)
        if one.tag == "function-type":
            parts = [self.type_text(part.get("type-id")) if part.get("type-id") else "..." for part in one]
            return f"{parts[-1]} ({', '.join(parts[:-1])})"
        if one.tag == "typedef-decl":
            return f"{one.get('name')} = {self.type_text(one.get('type-id'))}"
        return f"{one.get('name')} {one.get('size-in-bits')}"

    def members(self, struct):
        for member in self.structs[struct].iter("data-member"):
            of = member.find("var-decl")
            yield f"{of.get('name')} at {member.get('layout-offset-in-bits')}: {self.type_text(of.get('type-id'))}"


def main():
    old, new = Dump(sys.argv[1]), Dump(sys.argv[2])
    wrong = 0
    for struct in sys.argv[3:]:
        if struct not in old.structs:
            continue  # is new
        before = list(old.members(struct))
        after = list(new.members(struct)) if struct in new.structs else []
        for index, member in enumerate(before):
            now = after[index] if index < len(after) else "nothing"
            if member != now:
                print(f"{struct}: was {member}, is {now}")
                wrong += 1
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
