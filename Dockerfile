# An image that serves an exported model, without torch:
#
#     docker build -t tlkit-serve .
#     docker run --read-only --cap-drop ALL -p 127.0.0.1:8000:8000 -e TLKIT_SERVE_TOKEN=… \
#         -v "$PWD/runs/x/export:/model:ro" tlkit-serve
FROM python:3.11-slim

WORKDIR /src
COPY requirements-judge.txt constraints.txt ./
RUN pip install --no-cache-dir -r requirements-judge.txt -c constraints.txt
COPY pyproject.toml README.md LICENSE MANIFEST.in ./
COPY tlkit tlkit
COPY recipes recipes
RUN pip install --no-cache-dir --no-deps . && rm -rf /src && useradd --system --no-create-home serve

WORKDIR /
USER serve
EXPOSE 8000
HEALTHCHECK CMD ["python", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:8000/ready', timeout=3)"]
ENTRYPOINT ["tlkit", "serve"]
CMD ["/model/network.onnx", "--host", "0.0.0.0"]
