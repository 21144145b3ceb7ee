import codecs, json, os, subprocess, sys

job = json.loads("{}")
os.environ.update(job["env"])
if job["dir"]:
    os.makedirs(job["dir"], exist_ok=True)
    os.chdir(job["dir"])
try:
    program = subprocess.Popen(job["args"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
except OSError as e:
    print(e, flush=True)
    sys.exit(126 if isinstance(e, PermissionError) else 127)
text = codecs.getincrementaldecoder("utf-8")("replace")
for piece in iter(lambda: os.read(program.stdout.fileno(), 65536), b""):
    sys.stdout.write(text.decode(piece))
    sys.stdout.flush()
code = program.wait()
sys.exit(code if code >= 0 else 128 - code)
