"""Pictures of classes: ImageNet's folders, and CLIP_benchmark's tars."""

import io
import tarfile

TEMPLATES = ("a photo of a {c}.", "a blurry {c} in the house", "art of the {c}.")


def class_of(photo):
    """The name of its largest thing."""
    return max(photo.boxed, key=lambda t: (t.box[2] - t.box[0]) * (t.box[3] - t.box[1])).name


def write_folders(root, photographs):
    """A folder for each class, and classnames.txt in the order of the folders."""
    named = {}
    for photo in photographs:
        if photo.boxed:
            named.setdefault(class_of(photo), []).append(photo)
    # folders as ImageNet's, in another order than the names of their classes
    folders = {f"n{len(name):02d}{name[::-1].replace(' ', '')}": name for name in named}
    for folder, name in folders.items():
        for photo in named[name]:
            photo.put(root / folder / photo.file)
    said = [f"{folders[folder]} thing" for folder in sorted(folders)]
    (root / "classnames.txt").write_text("".join(f"{name}\n" for name in said))


def write_tars(root, photographs):
    """classnames.txt, zeroshot_classification_templates.txt and test/0.tar, test/1.tar."""
    (root / "test").mkdir(parents=True)
    seen = [photo for photo in photographs if photo.boxed]
    names = sorted({class_of(photo) for photo in seen})
    (root / "classnames.txt").write_text("\n".join(names))
    (root / "zeroshot_classification_templates.txt").write_text("\n".join(TEMPLATES))
    (root / "test/nshards.txt").write_text("2")
    for shard in range(2):
        with tarfile.open(root / f"test/{shard}.tar", "w") as tar:
            for i, photo in enumerate(seen[shard::2]):
                _add(tar, f"s{i:07d}.cls", str(names.index(class_of(photo))).encode())
                _add(tar, f"s{i:07d}.jpg", photo.data())


def _add(tar, name, data):
    member = tarfile.TarInfo(name)
    member.size = len(data)
    tar.addfile(member, io.BytesIO(data))
