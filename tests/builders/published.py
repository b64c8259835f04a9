"""Names of code in published bypasses of scanners: what each checkpoint asks for, and its advisory.

Only the names are taken from the advisories; the pickles around them are built here.
"""

from __future__ import annotations

PICKLESCAN = "https://github.com/mmaitre314/picklescan/security/advisories/"
FICKLING = "https://github.com/trailofbits/fickling/security/advisories/"

NAMES: dict[tuple[str, str], str] = {
    ("idlelib.pyshell", "ModifiedInterpreter.runcode"): PICKLESCAN + "GHSA-3gf5-cxq9-w223",
    ("idlelib.debugobj", "ObjectTreeItem.SetText"): PICKLESCAN + "GHSA-3vg9-h568-4w9m",
    ("ctypes", "CDLL"): PICKLESCAN + "GHSA-4675-36f9-wf6r",
    ("builtins", "__import__"): PICKLESCAN + "GHSA-46h3-79wf-xr6c",
    ("cProfile", "run"): PICKLESCAN + "GHSA-49gj-c84q-6qm9",
    ("torch.utils.bottleneck.__main__", "run_cprofile"): PICKLESCAN + "GHSA-4r9r-ch6f-vxmx",
    ("torch.utils.bottleneck.__main__", "run_autograd_prof"): PICKLESCAN + "GHSA-4whj-rm5r-c2v8",
    ("trace", "Trace.run"): PICKLESCAN + "GHSA-5qwp-399c-mjwf",
    ("profile", "Profile.runctx"): PICKLESCAN + "GHSA-6vqj-c2q5-j97w",
    ("idlelib.autocomplete", "AutoComplete.get_entity"): PICKLESCAN + "GHSA-6w4w-5w54-rjvr",
    ("idlelib.autocomplete", "AutoComplete.fetch_completions"): PICKLESCAN + "GHSA-7cq8-mj8x-j263",
    ("profile", "run"): PICKLESCAN + "GHSA-7wx9-6375-f5wh",
    ("operator", "methodcaller"): PICKLESCAN + "GHSA-84r2-jw7c-4r5q",
    ("torch._dynamo.guards", "GuardBuilder.get"): PICKLESCAN + "GHSA-86cj-95qr-2p4f",
    ("idlelib.calltip", "Calltip.fetch_tip"): PICKLESCAN + "GHSA-8r4j-24qv-fmq9",
    ("_operator", "attrgetter"): PICKLESCAN + "GHSA-955r-x9j8-7rhh",
    ("cProfile", "runctx"): PICKLESCAN + "GHSA-9w88-8rmg-7g2p",
    ("idlelib.calltip", "get_entity"): PICKLESCAN + "GHSA-9xph-j2h6-g47v",
    ("code", "InteractiveInterpreter.runcode"): PICKLESCAN + "GHSA-cj3c-v495-4xqh",
    ("torch.fx.experimental.symbolic_shapes", "ShapeEnv.evaluate_guards_expression"): PICKLESCAN
    + "GHSA-f4x7-rfwp-v3xw",
    ("lib2to3.pgen2.grammar", "Grammar.loads"): PICKLESCAN + "GHSA-f54q-57x4-jg88",
    ("torch.utils.collect_env", "run"): PICKLESCAN + "GHSA-f745-w6jp-hpxx",
    ("doctest", "debug_script"): PICKLESCAN + "GHSA-fqq6-7vqf-w3fg",
    ("trace", "Trace.runctx"): PICKLESCAN + "GHSA-g344-hcph-8vgg",
    ("_aix_support", "_read_cmd_output"): PICKLESCAN + "GHSA-g38g-8gr9-h9xp",
    ("imaplib", "IMAP4_stream"): PICKLESCAN + "GHSA-g38g-8gr9-h9xp",
    ("_osx_support", "_read_output"): PICKLESCAN + "GHSA-g38g-8gr9-h9xp",
    ("_pyrepl.pager", "pipe_pager"): PICKLESCAN + "GHSA-g38g-8gr9-h9xp",
    ("test.support.script_helper", "assert_python_ok"): PICKLESCAN + "GHSA-g38g-8gr9-h9xp",
    ("torch.utils.data.datapipes.utils.decoder", "basichandlers"): PICKLESCAN
    + "GHSA-h3qp-7fh3-f8h4",
    ("idlelib.pyshell", "ModifiedInterpreter.runcommand"): PICKLESCAN + "GHSA-j343-8v2j-ff7w",
    ("torch.utils.collect_env", "run_and_read_all"): PICKLESCAN + "GHSA-jhph-76pp-mggw",
    ("distutils.file_util", "write_file"): PICKLESCAN + "GHSA-m273-6v24-x4m4",
    ("idlelib.run", "Executive.runcode"): PICKLESCAN + "GHSA-m869-42cg-3xwr",
    ("lib2to3.pgen2.pgen", "ParserGenerator.make_label"): PICKLESCAN + "GHSA-p9w7-82w4-7q8m",
    ("asyncio.unix_events", "_UnixSubprocessTransport._start"): PICKLESCAN + "GHSA-q77w-mwjj-7mqx",
    ("numpy.f2py.crackfortran", "getlincoef"): PICKLESCAN + "GHSA-r8g5-cgf2-4m4m",
    ("pty", "spawn"): FICKLING + "GHSA-r7v6-mfhq-g3m2",
    ("torch.jit.unsupported_tensor_ops", "execWrapper"): PICKLESCAN + "GHSA-vr7h-p6mm-wpmh",
    ("torch.utils._config_module", "ConfigModule.load_config"): PICKLESCAN + "GHSA-vv6j-3g6g-2pvj",
    ("pkgutil", "resolve_name"): PICKLESCAN + "GHSA-vvpj-8cmc-gx39",
    ("profile", "Profile.run"): PICKLESCAN + "GHSA-x696-vm39-cp64",
    ("ensurepip", "_run_pip"): PICKLESCAN + "GHSA-xp4f-hrf8-rxw7",
    ("timeit", "timeit"): PICKLESCAN + "GHSA-v7x6-rv5q-mhwc",
    ("marshal", "loads"): FICKLING + "GHSA-565g-hwwr-4pp3",
    ("runpy", "run_path"): FICKLING + "GHSA-wfq2-52f7-7qvj",
    ("types", "FunctionType"): FICKLING + "GHSA-565g-hwwr-4pp3",
    ("builtins", "getattr"): FICKLING + "GHSA-h4rm-mm56-xf63",
    ("smtplib", "SMTP"): FICKLING + "GHSA-mxhj-88fx-4pcv",
    ("uuid", "_get_command_stdout"): FICKLING + "GHSA-5hwf-rc88-82xm",
    ("pathlib", "os.system"): FICKLING + "GHSA-5j3x-jp52-966f",
    ("_interpreters", "create"): FICKLING + "GHSA-6ggj-6f2q-f7mx",
    ("multiprocessing.util", "spawnv_passfds"): FICKLING + "GHSA-q5qq-mvfm-j35x",
    ("code", "InteractiveInterpreter"): FICKLING + "GHSA-q5qq-mvfm-j35x",
    ("pydoc", "locate"): FICKLING + "GHSA-5hvc-6wx8-mvv4",
    ("_osx_support", "_find_build_tool"): FICKLING + "GHSA-5hwf-rc88-82xm",
    ("_xxsubinterpreters", "create"): FICKLING + "GHSA-6ggj-6f2q-f7mx",
    ("ast", "parse"): FICKLING + "GHSA-cffv-grgg-g429",
    ("numpy.testing._private.utils", "runstring"): "https://github.com/mmaitre314/picklescan",
    ("torch._inductor.codecache", "compile_file"): "https://github.com/mmaitre314/picklescan",
    ("venv", "create"): "https://github.com/mmaitre314/picklescan",
    ("bdb", "Bdb.run"): "https://github.com/mmaitre314/picklescan",
    ("cloudpickle.cloudpickle", "_make_function"): "https://github.com/mmaitre314/picklescan",
    ("io", "FileIO"): "https://github.com/mmaitre314/picklescan",
    ("ssl", "get_server_certificate"): "https://github.com/mmaitre314/picklescan",
    ("__future__", "_ssl.RAND_bytes"): "https://github.com/trailofbits/fickling",
    ("builtins", "len"): "https://github.com/trailofbits/fickling",
    ("requests", "get"): "https://github.com/protectai/modelscan",
    ("importlib", "import_module"): "https://github.com/mmaitre314/picklescan/pull/74",
    # CVE-2025-32434: what weights_only let through before torch 2.6 came by way of such names
    ("torch.hub", "load"): "https://nvd.nist.gov/vuln/detail/CVE-2025-32434",
    # CVE-2024-48063: calls over RPC that unpickle what they are sent
    ("torch.distributed.rpc", "RemoteModule"): "https://nvd.nist.gov/vuln/detail/CVE-2024-48063",
    # CVE-2022-45907: a parser of type hints that evaluates them
    ("torch.jit.annotations", "parse_type_line"): "https://nvd.nist.gov/vuln/detail/CVE-2022-45907",
    # CVE-2019-6446: numpy arrays of objects, which are pickles
    ("numpy.core.multiarray", "_reconstruct"): "https://nvd.nist.gov/vuln/detail/CVE-2019-6446",
    ("joblib.numpy_pickle", "NumpyArrayWrapper"): "https://nvd.nist.gov/vuln/detail/CVE-2020-13092",
}  # fmt: skip
"""By module and name."""
