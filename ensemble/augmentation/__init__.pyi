from .aeda import aeda as aeda
from .word_roles import WordRoles as WordRoles
