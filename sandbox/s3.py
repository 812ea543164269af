"""An emulator of S3 on this machine, for the engine's state: moto's, on loopback, its content in this process."""

from __future__ import annotations

import logging
from contextlib import ExitStack
from types import TracebackType
from typing import Any
from urllib.parse import urlencode

_REGION = "eu-central-1"
_KEY = "sandbox"  # the emulator asks for no secret
_BUCKET = "pulumi-state"


class S3:
    """S3 with one bucket, running within a ``with``; ``url`` is what ``pulumi login`` takes, ``env`` the credentials."""

    def __enter__(self) -> S3:
        import boto3
        from botocore.config import Config
        from moto.s3.models import s3_backends

        from sandbox.moto_server import MotoServer

        logging.getLogger("werkzeug").setLevel(logging.ERROR)
        s3_backends.clear()
        with ExitStack() as stack:
            server = MotoServer()
            server.start()
            stack.callback(server.stop)
            endpoint = "http://{}:{}".format(*server.get_host_and_port())
            self.env = {"AWS_ACCESS_KEY_ID": _KEY, "AWS_SECRET_ACCESS_KEY": _KEY}
            self._client = boto3.client(
                "s3",
                endpoint_url=endpoint,
                region_name=_REGION,
                aws_access_key_id=_KEY,
                aws_secret_access_key=_KEY,
                config=Config(proxies={}, s3={"addressing_style": "path"}),
            )
            self._client.create_bucket(Bucket=_BUCKET, CreateBucketConfiguration={"LocationConstraint": _REGION})
            self._stack = stack.pop_all()
        # A store that is not Amazon's has the bucket in the path, and an address of its own.
        self.url = f"s3://{_BUCKET}?{urlencode({'region': _REGION, 'endpoint': endpoint, 's3ForcePathStyle': 'true'})}"
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._stack.close()

    def keys(self) -> list[str]:
        """The names of all objects of the bucket."""
        pages: Any = self._client.get_paginator("list_objects_v2").paginate(Bucket=_BUCKET)
        return [each["Key"] for page in pages for each in page.get("Contents", ())]
