"""Write docs/codes.md from the codes of the library: `python docs/codes.py`."""

from itertools import groupby
from pathlib import Path

from postproc.scores.codes import CODES, Code

PAGE = Path(__file__).with_suffix(".md")

START = """\
# Codes of warnings and errors

<!-- Written by docs/codes.py from postproc/scores/codes.py. -->

Every warning of the library and the command line ends with its code, and so does every error of the
command line:

```text
Warning: better.npy does not keep row ids; choose another format with -o x.npz or x.csv [PP213]
Error: preds.npy: no such file [PP101]
```

- **To hide a warning**, give its code to `--silence`, which every command takes:
  `--silence PP204,PP213`. It is then missing from `warnings` in `--json`, too. `--quiet` hides all.
- **In Python**, warnings are of the category `UserWarning` and end with the same code:
  `warnings.filterwarnings("ignore", r".*\\[PP204\\]$")`. Errors are exceptions of Python:
  `ValueError` and `TypeError` of what was given, `OSError` of files.
- **Errors cannot be hidden.** The exit code is 1 if files or data are at fault, and 2 if the
  command line is.
"""

GROUPS = {
    "1": "Errors of files and jobs",
    "2": "Warnings of files, predictions and labels",
    "3": "Warnings of methods and jobs",
    "4": "Errors of values, data and the command line",
    "9": "Faults of postproc",
}


def page() -> str:
    """The page, as Markdown."""
    parts = [START]
    for digit, codes in groupby(CODES.values(), lambda code: code.number[2]):
        parts.append(f"\n## {GROUPS[digit]}\n")
        parts += map(section, codes)
    return "".join(parts)


def section(code: Code) -> str:
    """What is written of one code."""
    return (
        f"\n### {code.number}\n\n**{code.title}**\n\n"
        f"- *Detected:* {code.found}\n- *Meaning:* {code.meaning}\n- *Mend:* {code.mend}\n"
    )


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
