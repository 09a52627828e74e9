"""`tlkit serve`: an exported model over HTTP."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from tlkit.cli.arguments import MOST, ModelPath
from tlkit.serving.serve_options import ServeError, ServeOptions

TOKEN = "TLKIT_SERVE_TOKEN"  # noqa: S105  # the name of a variable
"""Environment variable of the token: a command line can be read by other users of the machine."""


def serve(
    model: ModelPath,
    host: Annotated[str, typer.Option(help="Address; others than loopback need a token in TLKIT_SERVE_TOKEN.")] = (
        ServeOptions.host
    ),
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port; 0 = any free one.")] = ServeOptions.port,
    workers: Annotated[
        int, typer.Option(min=0, max=1024, help="Images at the same time; 0 = one per core.")
    ] = ServeOptions.workers,
    max_megabytes: Annotated[
        float, typer.Option(min=0.001, max=2000, help="Most megabytes of a request.")
    ] = ServeOptions.max_bytes / 1e6,
    max_megapixels: Annotated[
        float, typer.Option(min=0.001, max=1000, help="Most megapixels of an image.")
    ] = ServeOptions.max_pixels / 1e6,
    max_waiting: Annotated[
        int, typer.Option(min=64, max=MOST, help="Images that wait; with more, requests get 503 with Retry-After.")
    ] = ServeOptions.max_waiting,
    timeout: Annotated[
        float, typer.Option(min=0.1, max=3600, help="Seconds for headers, body and answer, each.")
    ] = ServeOptions.timeout_s,
    log: Annotated[
        Path | None,
        typer.Option(help="Folder of Parquet parts, such as served.parquet, for what was served; holds no images."),
    ] = None,
    log_images: Annotated[Path | None, typer.Option(help="Also keep every image that was served, in this folder.")] = (
        None
    ),
) -> None:
    """Serve an exported model, or a run that was exported, over HTTP until it is stopped; needs the extra serve."""
    from tlkit.errors import MissingExtraError
    from tlkit.output_files import require_folder

    if log_images is not None and log is None:
        raise ServeError("--log-images is for a server with --log. Name the log, too.")
    for option, folder in (("--log", log), ("--log-images", log_images)):
        if folder is not None:
            require_folder(folder, name=option)
    options = ServeOptions(
        host=host,
        port=port,
        token=os.environ.get(TOKEN, ""),
        workers=workers,
        max_bytes=round(max_megabytes * 1e6),
        max_pixels=round(max_megapixels * 1e6),
        max_waiting=max_waiting,
        timeout_s=timeout,
        log=log,
        log_images=log_images,
    )
    try:
        from tlkit.serving.server import serve as run_server
    except ModuleNotFoundError as error:
        raise MissingExtraError(package=str(error.name), extra="serve", purpose="tlkit serve") from None
    run_server(model, options)
