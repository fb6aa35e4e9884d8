import os

from pipelines import tally


def test_workers_of_one_process_are_counted_together(tmp_path):
    for videos, reused in ((0, 1), (1, 0)):
        worker = tally.Tally(str(tmp_path))
        worker.add(videos, reused)
        worker.write()
    assert tally.tallied(str(tmp_path)) == {"videos": 1, "reused": 1}
    assert tally.processes(str(tmp_path)) == [os.getpid()]


def test_processes_of_other_machines_are_none_of_ours(tmp_path, monkeypatch):
    for name in ("one", "one-1", "one.2"):
        monkeypatch.setattr("socket.gethostname", lambda name=name: name)
        tally.Tally(str(tmp_path))
    monkeypatch.setattr("socket.gethostname", lambda: "one")
    assert tally.processes(str(tmp_path)) == [os.getpid()]
    assert tally.processes(str(tmp_path / "nowhere")) == []
