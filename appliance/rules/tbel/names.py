"""Words with a meaning of their own: classes, operators, keywords, constants."""

from __future__ import annotations

CLASSES = frozenset((
    "String", "CharSequence", "Integer", "int", "Long", "long", "Boolean", "boolean", "Short",
    "short", "Character", "char", "Double", "double", "Float", "float", "Byte", "byte", "Math",
    "Void", "Object", "Number", "StrictMath", "Exception", "JSON", "Date", "Random", "Calendar",
))  # fmt: skip
WORD_OPERATORS = frozenset(
    ("contains", "instanceof", "is", "strsim", "soundslike", "convertable_to", "and", "or")
)
KEYWORDS = frozenset((
    "if", "else", "switch", "case", "default", "function", "def", "stacklang", "var", "foreach",
    "while", "until", "for", "do", "return", "break", "isdef", "new", "in", "with", "assert",
    "import", "import_static",
))  # fmt: skip
_HIDDEN_CLASSES = frozenset(
    ("System", "Class", "ClassLoader", "Runtime", "Thread", "StringBuffer", "ThreadLocal",
     "SecurityManager", "Array", "StringBuilder")
)  # fmt: skip
RESERVED = (
    KEYWORDS
    | WORD_OPERATORS
    | _HIDDEN_CLASSES
    | (CLASSES - {"JSON", "Date", "Random", "Calendar"})
    | {"true", "false", "null", "nil", "empty"}
)
CONSTANTS = frozenset(("true", "false", "null", "nil", "empty"))
