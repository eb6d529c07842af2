"""Does models/small.onnx keep what project.conf promises? Run by ./run test; needs nothing but Python and nibble."""
import json
import math
import os
import shlex
import subprocess
import sys
import unittest
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(PROJECT))
from project import SMALL, settings  # noqa: E402


class Promises(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.settings = settings()
        cls.float_model = PROJECT / cls.settings["MODEL"]
        command = ["nibble", "eval", str(cls.float_model), str(SMALL), "--data", cls.settings["DATA"],
                   *shlex.split(cls.settings["DATA_FLAGS"]), "--json"]
        run = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=False)
        if run.returncode != 0:
            raise RuntimeError(f"{shlex.join(command)}: {run.stderr.strip()}")
        cls.report = json.loads(run.stdout)

    def test_the_file_is_small(self):
        share = os.path.getsize(SMALL) / os.path.getsize(self.float_model)
        print(f"\n  size: {share:.3f} of the float model's, at most {self.settings['MAX_SIZE']}")
        self.assertLessEqual(share, float(self.settings["MAX_SIZE"]))

    def test_the_accuracy_is_kept(self):
        if "metrics" in self.report:
            self.skipTest("the data have no labels: see the next test")
        small = self.report["models"][1]
        low, high = small["paired"]["interval_95"]
        print(f"\n  accuracy: {small['paired']['difference'] * 100:+.2f} points [{low * 100:+.2f}, {high * 100:+.2f}], "
              f"n = {small['samples']}; at most {self.settings['MAX_DROP']} may be lost")
        self.assertGreaterEqual(low * 100, -float(self.settings["MAX_DROP"]),
                                "more may be lost than project.conf allows: more test samples make the interval narrower; "
                                "./run explain names the layers, ./run finetune wins some of it back")

    def test_the_outputs_stay_close(self):
        if "metrics" not in self.report:
            self.skipTest("the data have labels: see the test before")
        for metric in self.report["metrics"]:
            if metric["metric"] != "sqnr":
                continue
            small = metric["models"][-1]
            # null is infinite: no error at all.
            value, low = (math.inf if x is None else x for x in (small["value"], small["interval_95"][0]))
            print(f"\n  {metric['output']}: {value:.1f} dB, at least {low:.1f} (95 %), n = {small['samples']}; "
                  f"{self.settings['MIN_SQNR']} are promised")
            self.assertGreaterEqual(low, float(self.settings["MIN_SQNR"]), metric["output"])


if __name__ == "__main__":
    unittest.main()
