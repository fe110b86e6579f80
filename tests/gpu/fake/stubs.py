"""Writes a stub for every function of the CUDA libraries that libtorch calls and the fake GPU does not define: stubs.py LIBTORCH FOLDER

For each library: NAME.stubs.cpp with functions that are counted and succeed, and NAME.map with the version of its symbols.
"""
import os, re, subprocess, sys

libraries, folder = os.path.join(sys.argv[1], "lib"), sys.argv[2]
here = os.path.dirname(os.path.abspath(__file__))
USERS = "torch_cuda c10_cuda torch_cuda_linalg torch_nvshmem torch_cpu caffe2_nvrtc torch torch_python".split()
# what a library that cannot start answers
FAILURES = {"cudnn": "FAKE_CUDNN_FAIL", "cublas": "FAKE_CUBLAS_FAIL"}

needed = {}
for user in USERS:
    path = os.path.join(libraries, f"lib{user}.so")
    if not os.path.exists(path):
        continue
    for line in subprocess.check_output(["nm", "-D", "--undefined-only", path], text=True).splitlines():
        found = re.match(r".* (\w+)@+(lib(?:cudart|cublas|cublasLt|cudnn)\.so\.\d+)$", line)
        if found:
            needed.setdefault(found[2], set()).add(found[1])

sources = "".join(open(os.path.join(here, name)).read() for name in os.listdir(here) if name.endswith(".cpp"))
defined = set(re.findall(r"\b(_*cu\w+)\(", sources)) | set(re.findall(r"\b[A-Z]+\((cu\w+)\)", sources))
for library, names in needed.items():
    short = re.match(r"lib(\w+)\.so", library)[1]
    with open(os.path.join(folder, f"{short}.stubs.cpp"), "w") as file:
        file.write('#include "fake.h"\n')
        for name in sorted(names - defined):
            handle = "Stream" not in name and "Event" not in name
            if re.search(r"Create_v2$|cudnnCreate$", name) and short in FAILURES:
                body = f'(void **p) {{ hit("{name}"); if (int e = number("{FAILURES[short]}", 0)) return e; if (p) *p = calloc(1, 4096); return 0; }}'
            elif "Create" in name and handle:
                body = f'(void **p) {{ hit("{name}"); if (p) *p = calloc(1, 4096); return 0; }}'
            elif "Destroy" in name and handle:
                body = f'(void *p) {{ hit("{name}"); free(p); return 0; }}'
            else:
                body = f'() {{ hit("{name}"); return 0; }}'
            file.write(f"EXPORT int {name}{body}\n")
    with open(os.path.join(folder, f"{short}.map"), "w") as file:
        file.write(f"{library} {{ global: cu*; __cu*; fake_*; local: *; }};\n")
