"""What we ship is what we test: the frozen binary, from outside."""

from __future__ import annotations

import os
import signal

from appliance import __version__


def test_the_binary_tells_its_version(appliance):
    """And that it is frozen."""
    answer = appliance.run("version")

    assert answer.returncode == 0, answer.stderr
    assert answer.stdout.startswith(f"appliance {__version__} (frozen")


def test_the_binary_passes_its_selftest(appliance):
    """Nothing may be skipped: it has every plugin it needs."""
    answer = appliance.run("selftest", "--verbose")

    assert answer.returncode == 0, answer.stdout + answer.stderr
    assert answer.stdout.startswith("selftest passed: ")
    assert "skipped" not in answer.stdout + answer.stderr


def test_the_binary_is_not_larger_than_promised(binary):
    """90 MB."""
    assert binary.stat().st_size <= 90_000_000


def test_a_wrong_configuration_ends_with_78_and_names_place_and_way_out(appliance):
    """One line a mistake, no stack."""
    file = appliance.folder / "edge.toml"
    file.write_text("[uplink]\nbatch_sise = 10\n[web]\nport = 99999\n")

    answer = appliance.run("run", "--config", str(file), HTTP_BIND_PORT="")

    assert answer.returncode == 78
    assert answer.stderr.splitlines() == [
        f"configuration: uplink.batch_sise: unknown; did you mean batch_size? [{file} line 2]",
        f"configuration: web.port: expected `int` <= 65535, got 99999 [{file} line 4]",
    ]


def test_a_wrong_command_line_ends_with_2(appliance):
    """The verbs are one word away."""
    answer = appliance.run("rnu")

    assert answer.returncode == 2
    assert "did you mean run?" in answer.stderr


def test_a_wheel_from_outside_is_loaded_listed_and_run(appliance):
    """From its plugin folder, with its own section; its event is in the log."""
    appliance.add_wheel()
    readings = appliance.folder / "readings.jsonl"
    readings.write_text('{"token": "nobody", "values": {"temperature": 21.5}}\n')

    listed = appliance.run("plugins", "--format", "csv")
    assert "edge_file_ingest,loaded,edge_file_ingest-1.0-py3-none-any.whl,1.0,ingest file" in (
        listed.stdout.splitlines()
    ), listed.stdout + listed.stderr

    appliance.start("run", "--set", f"ingest.file.path={readings}")
    read = appliance.wait_event("FileRead")
    assert (read["posted"], read["unknown"]) == (0, 1)


def test_a_wheel_that_is_broken_takes_nothing_down(appliance):
    """It is an event and a line of `plugins`; the edge serves."""
    folder = appliance.data_dir / "plugins"
    folder.mkdir(parents=True)
    (folder / "broken-1.0-py3-none-any.whl").write_bytes(b"not a zip")

    appliance.start("run")

    assert "damaged" in appliance.wait_event("PluginLeftOut")["reason"]
    appliance.wait_event("ApplianceReady")


def test_it_serves_and_leaves_in_order_on_sigterm(appliance):
    """Ready, healthy, measured; then 0, and a data folder that opens again."""
    process = appliance.start("run")
    appliance.wait_event("ApplianceReady")

    status, metrics = appliance.get("/metrics")
    assert status == 200
    assert 'appliance_component_up{component="storage"} 1' in metrics
    process.send_signal(signal.SIGTERM)

    assert process.wait(45) == 0
    assert appliance.wait_event("ApplianceStopping")["reason"] == "SIGTERM"
    lines = appliance.log.read_text("utf-8").splitlines()
    assert [line for line in lines if not line.startswith("{")] == []
    assert appliance.run("fsck").returncode == 0
    asked = appliance.run("sql", "SELECT count(*) AS n FROM ts_kv", "--format", "csv")
    assert asked.stdout == "n\n0\n", asked.stderr


def test_a_second_one_on_the_same_data_folder_is_told_to_wait(appliance):
    """75, with the holder's number."""
    appliance.start("run")
    appliance.wait_event("ApplianceReady")

    answer = appliance.run("run", HTTP_BIND_PORT="0")

    assert answer.returncode == 75
    assert "is in use by process" in answer.stderr


def test_killing_the_loader_kills_the_appliance_and_the_next_start_is_ready(appliance):
    """SIGKILL on the process that was started leaves nothing that holds ports or folder."""
    process = appliance.start("run")
    appliance.wait_event("ApplianceReady")
    os.kill(process.pid, signal.SIGKILL)
    process.wait(10)

    appliance.start("run")

    appliance.wait_event("ApplianceReady", count=2)
