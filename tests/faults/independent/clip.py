"""A random CLIP of open_clip, and its vectors by open_clip's own transform and towers alone."""

import json

import numpy as np
import open_clip
import torch
from safetensors.torch import save_file

AT_ONCE = 64
SMALL = {
    "embed_dim": 64,
    "vision_cfg": {"image_size": 128, "layers": 3, "width": 64, "head_width": 32, "patch_size": 16},
    "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 64, "heads": 2, "layers": 3},
}
PREPROCESS = {
    "mean": open_clip.OPENAI_DATASET_MEAN,
    "std": open_clip.OPENAI_DATASET_STD,
    "interpolation": "bicubic",
    "resize_mode": "shortest",
}


def write_clip(folder, config=None):
    """An open_clip folder of random weights of seed 0; `config` None: ViT-B-32."""
    config = config or open_clip.get_model_config("ViT-B-32")
    torch.manual_seed(0)
    folder.mkdir(parents=True)
    told = {"model_cfg": config, "preprocess_cfg": PREPROCESS}
    (folder / "open_clip_config.json").write_text(json.dumps(told))
    _write(open_clip.CLIP(**config), folder)


def _write(model, folder):
    weights = {name: tensor.contiguous() for name, tensor in model.state_dict().items()}
    save_file(weights, folder / "open_clip_model.safetensors")


@torch.no_grad()
def fit(folder, images, texts):
    """A small random tower says nearly the same of everything and is right by chance alone. Here
    the mean of what it says of these pictures is projected out of its last weights, and those of
    the text tower are the least squares from each text to its picture: the nearest text is right
    often enough, and wrong often enough, for a fault of a protocol to show."""
    clip = Clip(folder)
    model, seen = clip.model, clip.pictures(images)
    mean = torch.tensor(unit(seen.mean(0)))
    weight = model.visual.proj
    weight -= (weight @ mean)[:, None] * mean
    seen = torch.tensor(clip.pictures(images)).double()
    inner = model.text_projection.clone()
    model.text_projection.copy_(torch.eye(len(inner)))
    read = torch.cat([model.encode_text(clip.read([text])) for text in texts]).double()
    ridge = 1e-2 * torch.eye(read.shape[1], dtype=torch.float64) * len(read)
    model.text_projection.copy_(torch.linalg.solve(read.T @ read + ridge, read.T @ seen))
    _write(model, folder)


class Clip:
    """`pictures` and `texts` give unit vectors, float32 [n, d]; only those of texts are kept."""

    def __init__(self, folder, resize_mode="shortest"):
        where = f"local-dir:{folder}"
        self.resize_mode = resize_mode  # open_clip's: shortest, longest, squash
        self.model, self.see = open_clip.create_model_from_pretrained(
            where, image_resize_mode=resize_mode
        )
        self.model.eval()
        self.read = open_clip.get_tokenizer(where)
        self.size = self.model.visual.image_size[0]
        self.patch = self.model.visual.patch_size[0]
        self._said = {}

    @torch.no_grad()
    def pictures(self, images):
        found = []
        for start in range(0, len(images), AT_ONCE):
            pixels = torch.stack([self.see(image) for image in images[start : start + AT_ONCE]])
            found.append(self.model.encode_image(pixels, normalize=True).numpy())
        return np.concatenate(found)

    @torch.no_grad()
    def texts(self, texts):
        new = sorted({*texts} - {*self._said})
        for start in range(0, len(new), AT_ONCE):
            part = new[start : start + AT_ONCE]
            vectors = self.model.encode_text(self.read(part), normalize=True).numpy()
            self._said |= dict(zip(part, vectors, strict=True))
        return np.stack([self._said[text] for text in texts])

    def ids(self, text):
        """What the text tower reads of a text: equal for texts that differ in case alone."""
        return tuple(self.read([text])[0].tolist())


def unit(vectors):
    return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)
