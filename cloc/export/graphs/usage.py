"""What a person does with exported graphs: the tokenizer beside them, and the code shown."""

from pathlib import Path
from typing import Any

import ftfy
import torch

from cloc.errors import UserError
from cloc.export.parity import TEXTS
from cloc.transformers_layout.tokenizer import (
    CANONICALIZE,
    fast_tokenizer,
    way_of_cleaning,
    without_marks,
)

FILE = "tokenizer.json"
IMPORTS = """\
import json

{imports}
with open("FOLDER/{config}") as file:
    height, width = json.load(file)["image_size"]
photos = [PIL.ImageOps.exif_transpose(PIL.Image.open("photo.jpg")).convert("RGB")]
frames = [PIL.ImageOps.pad(photo, (width, height)) for photo in photos]  # training's, to a pixel
pixels = np.stack([np.asarray(frame).transpose(2, 0, 1) for frame in frames])  # whole numbers
"""
TOKENS = """\
tokenizer = Tokenizer.from_file("FOLDER/tokenizer.json")  # fills and cuts rows
texts = ["a red star", "a dog"]
mended = [ftfy.fix_text(text) for text in texts]  # mojibake, which no tokenizer file can mend
ids = np.array([row.ids for row in tokenizer.encode_batch(mended)])
"""
BOXES = """\
boxes = np.array([[[0.1, 0.2, 0.6, 0.9], [0.0, 0.0, 1.0, 1.0]]] * len(photos), np.float32)
"""


def usage(
    imports: str, config: str, *, images: str, texts: str, regions: str, parts: set[str]
) -> str:
    """The code for a folder with these `parts`: {"text", "region"}, each where the folder has it.

    `imports` are lines of third parties, in order; `config` is the name of the JSON file."""
    extra = {"ftfy": "import ftfy", "tokenizers": "from tokenizers import Tokenizer"}
    given = [*imports.split("\n"), "import PIL.Image", "import PIL.ImageOps", "import numpy as np"]
    given += extra.values() if "text" in parts else ()
    plain = sorted((x for x in given if x.startswith("import")), key=str.lower)
    lines = [*plain, *(x for x in given if x.startswith("from"))]
    code = IMPORTS.format(imports="\n".join(lines) + "\n", config=config) + images
    code += TOKENS + texts if "text" in parts else ""
    return code + (BOXES + regions if "region" in parts else "")


def write_graph_tokenizer(model: Any, folder: Path) -> str:
    """`tokenizer.json`, which cuts and fills rows as the tower does; its name, or why there is
    none: where its ids are not the tower's own, the tower's own code is needed."""
    tower = model.tower
    tokenizer, length = tower.tokenizer(), tower.context_length
    wrapped = getattr(tokenizer, "tokenizer", None)
    text_cfg = tower.model_config["text_cfg"]
    try:
        made = fast_tokenizer(tokenizer, text_cfg)
    except UserError as error:
        return f"none: {error}"
    if way_of_cleaning(tokenizer, text_cfg) == CANONICALIZE:
        made = without_marks(made)
    made.enable_truncation(length)
    pad, word = (0, "!") if wrapped is None else (wrapped.pad_token_id, str(wrapped.pad_token))
    made.enable_padding(length=length, pad_id=pad, pad_token=word)
    ids = [row.ids for row in made.encode_batch(list(map(ftfy.fix_text, TEXTS)))]
    if not tokenizer(list(TEXTS), length).equal(torch.tensor(ids)):
        return "none: open_clip's own code does more than a file can say"
    made.save(str(folder / FILE))
    return FILE
