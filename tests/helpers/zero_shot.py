"""Tiny zero-shot detectors of transformers, every weight random, saved as folders."""

from types import SimpleNamespace

import torch

LETTERS = [chr(c) for c in range(ord("a"), ord("z") + 1)]
SPECIAL = {0: "[PAD]", 100: "[UNK]", 101: "[CLS]", 102: "[SEP]", 1012: ".", 1029: "?"}


def clip_tokenizer(context):
    """Letters only, as CLIP's byte pairs have them before any merge; the padding id is 0, "!"."""
    from transformers import CLIPTokenizer

    letters = ["!", *LETTERS, *(f"{x}</w>" for x in LETTERS), "<|startoftext|>", "<|endoftext|>"]
    vocab = {token: i for i, token in enumerate(letters)}
    return CLIPTokenizer(vocab=vocab, merges=[], pad_token="!", model_max_length=context)


def bert_tokenizer(words=()):
    """Words and letters; the ids that Grounding DINO knows by number are where BERT has them."""
    from transformers import BertTokenizer

    vocab = {name: i for i, name in SPECIAL.items()}
    pieces = [*words, *LETTERS, *(f"##{x}" for x in LETTERS)]
    vocab |= {piece: 200 + i for i, piece in enumerate(pieces)}
    vocab |= {f"[unused{i}]": i for i in range(1030) if i not in vocab.values()}
    return BertTokenizer(vocab=dict(sorted(vocab.items(), key=lambda kv: kv[1])))


def _shaken(model):
    torch.manual_seed(1)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.05 * torch.randn(parameter.shape))
    return model.eval()


def save_owl(folder, *, kind="owlv2", side=64, context=16):
    """OWLv2, or with kind="owlvit" OWL-ViT, of `side` / 8 squared boxes."""
    import transformers

    name = {"owlv2": "Owlv2", "owlvit": "OwlViT"}[kind]
    torch.manual_seed(0)
    sizes = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1}
    tokenizer = clip_tokenizer(context)
    config = getattr(transformers, f"{name}Config")(
        text_config={
            **sizes,
            "num_attention_heads": 2,
            "vocab_size": len(tokenizer),
            "max_position_embeddings": context,
            "bos_token_id": tokenizer.bos_token_id,
            "eos_token_id": tokenizer.eos_token_id,
        },
        vision_config={**sizes, "num_attention_heads": 2, "image_size": side, "patch_size": 8},
        projection_dim=16,
    )
    model = _shaken(getattr(transformers, f"{name}ForObjectDetection")(config))
    with torch.no_grad():
        model.box_head.dense2.weight.mul_(0.1)  # else most boxes are under one pixel
    square = {"height": side, "width": side}
    pictures = getattr(transformers, f"{name}ImageProcessor")(size=square)
    processor = getattr(transformers, f"{name}Processor")(pictures, tokenizer)
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder


def save_grounding_dino(folder, *, kind="grounding_dino", words=(), context=64):
    """Grounding DINO, or with kind="mm_grounding_dino" that one, at 64 / 96 pixels."""
    import transformers

    name = {"grounding_dino": "GroundingDino", "mm_grounding_dino": "MMGroundingDino"}[kind]
    torch.manual_seed(0)
    tokenizer = bert_tokenizer(words)
    backbone = transformers.SwinConfig(
        embed_dim=8,
        depths=[1, 1, 1],
        num_heads=[1, 2, 2],
        window_size=4,
        out_indices=[1, 2, 3],
    )
    text = transformers.BertConfig(
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=32,
        vocab_size=len(tokenizer),
    )
    config = getattr(transformers, f"{name}Config")(
        backbone_config=backbone,
        text_config=text,
        d_model=32,
        encoder_layers=1,
        decoder_layers=2,
        encoder_attention_heads=2,
        decoder_attention_heads=2,
        encoder_ffn_dim=32,
        decoder_ffn_dim=32,
        num_queries=12,
        max_text_len=context,
    )
    model = _shaken(getattr(transformers, f"{name}ForObjectDetection")(config))
    pictures = transformers.GroundingDinoImageProcessor(
        size={"shortest_edge": 64, "longest_edge": 96}
    )
    model.save_pretrained(folder)
    transformers.GroundingDinoProcessor(pictures, tokenizer).save_pretrained(folder)
    return folder


def save_omdet_turbo(folder):
    """OmDet-Turbo, whose processor has the last word on its boxes; 64 pixels squared."""
    import transformers

    torch.manual_seed(0)
    tokenizer = clip_tokenizer(77)
    sizes = {"hidden_size": 24, "intermediate_size": 32, "num_hidden_layers": 1}
    text = transformers.CLIPTextConfig(
        **sizes,
        num_attention_heads=2,
        vocab_size=len(tokenizer),
        projection_dim=24,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
    )
    backbone = transformers.SwinConfig(
        image_size=64,
        embed_dim=8,
        depths=[1, 1, 1],
        num_heads=[1, 2, 2],
        window_size=4,
        out_indices=[1, 2, 3],
    )
    config = transformers.OmDetTurboConfig(
        text_config=text,
        backbone_config=backbone,
        use_timm_backbone=False,
        apply_layernorm_after_vision_backbone=False,
        text_projection_in_dim=24,
        text_projection_out_dim=24,
        class_embed_dim=24,
        task_encoder_hidden_dim=24,
        num_queries=10,
        encoder_hidden_dim=16,
        decoder_hidden_dim=16,
        vision_features_channels=[16, 16, 16],
        encoder_in_channels=[8, 16, 32],
        encoder_dim_feedforward=32,
        encoder_attention_heads=2,
        decoder_num_heads=2,
        decoder_num_layers=1,
        decoder_dim_feedforward=32,
        image_size=64,
        backbone_image_size=64,
    )
    model = _shaken(transformers.OmDetTurboForObjectDetection(config))
    pictures = transformers.DetrImageProcessor(size={"height": 64, "width": 64}, do_pad=False)
    model.save_pretrained(folder)
    transformers.OmDetTurboProcessor(pictures, tokenizer).save_pretrained(folder)
    return folder


def sees_bright_boxes(*, token, is_owl):
    """A `forward` for such a model: one box around what is bright in the pixels that the model is
    given, for the phrase that holds `token`; so a box goes through preprocessing and back."""

    def forward(pixel_values, input_ids, **_):
        grey = pixel_values.mean(1)
        boxes = torch.stack([_bright_box(picture) for picture in grey])
        hit = (input_ids == token).float()
        if is_owl:  # one row of tokens for every phrase, not for every picture
            hit = hit.amax(-1).reshape(len(grey), -1)
        return SimpleNamespace(logits=(20 * hit - 10)[:, None], pred_boxes=boxes[:, None])

    return forward


def _bright_box(grey):
    """Normalised (centre x, centre y, width, height)."""
    bright = grey > (grey.min() + grey.max()) / 2
    rows, columns = (bright.any(axis).nonzero().flatten() for axis in (1, 0))
    (y0, y1), (x0, x1) = ((int(a[0]), int(a[-1]) + 1) for a in (rows, columns))
    height, width = grey.shape
    return torch.tensor(
        [(x0 + x1) / 2 / width, (y0 + y1) / 2 / height, (x1 - x0) / width, (y1 - y0) / height]
    )
