"""Whether a URL of a store can be opened here. No torch: data preparation stands on this file."""

import fsspec


def why_not(url: str) -> str:
    """What keeps one fsspec URL from being opened; "" where nothing does."""
    protocol = url.partition("://")[0]
    if "::" in url or protocol not in fsspec.available_protocols():
        return f"{url} is no URL that can be opened; use one such as s3://, gs:// or https://"
    try:
        fsspec.get_filesystem_class(protocol)
    except ImportError as error:
        return f"{url} needs a package that is not installed: {error} (pip install ...)"
    return ""
