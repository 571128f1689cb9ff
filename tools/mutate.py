"""
`make mutate`: change the code in one small place at a time, and print the changes that no test notices.

Not part of the tests: a module takes minutes to hours. It works on a copy, with cosmic-ray, which uv installs
for the moment.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parent.parent
TOOL = [str(Path(sys.executable).parent / "uv"), "tool", "run", "--quiet", "--from", "cosmic-ray>=8.3,<9"]
SECONDS = 300.0  # a change that makes the tests run longer counts as noticed
# module → the tests that have to notice a change of it
TARGETS = {
    "api/transport.py": "tests/api tests/hardening/test_answers.py",
    "documents/changes/state.py": "tests/documents/changes",
    "documents/dataset/ids.py": "tests/documents/dataset",
    "identities/access.py": "tests/identities tests/test_access_agreement.py",
    "identities/graph.py": "tests/identities tests/test_access_agreement.py",
    "identities/models.py": "tests/identities",
    "loading/deliveries.py": "tests/test_loading.py tests/test_delivering_contents.py",
    "loading/spooling.py": "tests/test_loading.py tests/test_progress.py",
    "marks.py": "tests/test_marks.py tests/operators/test_load_marks.py",
    "operators/finalize.py": "tests/operators/test_finalize.py tests/operators/test_diff_state.py",
    "operators/source.py": "tests/operators/test_push.py tests/operators/test_claims.py",
    "operators/support/claims.py": "tests/operators/test_claims.py tests/operators/test_claims_at_once.py",
    "operators/support/load_marks.py": "tests/operators/test_load_marks.py",
    "operators/verify.py": "tests/dags/test_verification.py tests/operators/test_finalize.py",
    "safety.py": "tests/test_safety.py tests/operators/test_push.py",
    "task_groups/catalog.py": "tests/dags/test_wiring.py tests/dags/test_task_groups.py",
    "task_groups/push.py": "tests/dags/test_wiring.py tests/dags/test_task_groups.py",
    "task_groups/secured.py": "tests/dags/test_wiring.py tests/dags/test_secured_push.py",
    "verification/look.py": "tests/verification",
    "verification/tally.py": "tests/verification",
}


def main() -> int:
    """Mutate the modules that are named, or all of the table; that some changes survive is no failure."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n", maxsplit=1)[0].strip())
    parser.add_argument("modules", nargs="*", metavar="MODULE", help=f"of {', '.join(TARGETS)}")
    modules = parser.parse_args().modules or list(TARGETS)
    if unknown := sorted(set(modules) - TARGETS.keys()):
        parser.error(f"no tests are named for {unknown[0]}: add it to TARGETS in tools/mutate.py")
    for module in modules:
        with tempfile.TemporaryDirectory(prefix="coveo-mutate-") as folder:
            survivors, total = mutated(module, Path(folder))
        print(f"{module}: {total - len(survivors)} of {total} changes were noticed", flush=True)
        for survivor in survivors:
            print(f"\n{survivor}", flush=True)
    return 0


def mutated(module: str, folder: Path) -> tuple[list[str], int]:
    """Return the changes of a module that no test noticed, each as a diff, and how many there were."""
    for name in ("coveo_provider", "tests", "dags", "tools", "pyproject.toml", "README.md", "docs"):
        source = ROOT / name
        copy = shutil.copytree if source.is_dir() else shutil.copy
        copy(source, folder / name)
    command = f"{sys.executable} -m pytest -x -q -p no:cacheprovider {TARGETS[module]}"
    (folder / "config.toml").write_text(
        f'[cosmic-ray]\nmodule-path = "coveo_provider/{module}"\ntimeout = {SECONDS}\nexcluded-modules = []\n'
        f'test-command = "{command}"\n[cosmic-ray.distributor]\nname = "local"\n'
    )
    for step in (
        ["baseline", "config.toml"],
        ["init", "config.toml", "session"],
        ["exec", "config.toml", "session"],
    ):
        run(folder, "cosmic-ray", *step)
    results = [json.loads(line) for line in run(folder, "cosmic-ray", "dump", "session").splitlines()]
    done = [result for _, result in results if result is not None]
    return [result["diff"] for result in done if result["test_outcome"] == "survived"], len(done)


def run(folder: Path, *command: str) -> str:
    """Run a command of the tool in the copy, and return what it prints."""
    environment = {**os.environ, "PYTHONPATH": str(folder)}
    done = subprocess.run(
        [*TOOL, *command], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise SystemExit(f"{' '.join(command)} failed:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
    return done.stdout


if __name__ == "__main__":
    sys.exit(main())
