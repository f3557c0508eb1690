# A packaged model behind HTTP:  docker build -t visits .  then  docker run -p 8000:8000 -v visits-log:/log visits
FROM python:3.11-slim
RUN useradd --create-home pipeline && install -d -o pipeline /log
WORKDIR /app
COPY requirements.lock pyproject.toml README.md ./
RUN pip install --no-cache-dir --require-hashes -r requirements.lock
COPY pipeline pipeline
RUN pip install --no-cache-dir --no-deps --no-build-isolation .
COPY models/package /model
USER pipeline
WORKDIR /home/pipeline
VOLUME /log
EXPOSE 8000
HEALTHCHECK --start-period=60s CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/ping')"]
ENTRYPOINT ["pipeline", "serve", "--host", "0.0.0.0", "--log", "/log"]
# or models:/visits@champion, with MLFLOW_TRACKING_URI set: then promotions are followed
CMD ["--model", "/model"]
