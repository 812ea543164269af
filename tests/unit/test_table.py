"""The table is the requirement, and a wrong table is refused with its place."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
from kubeports import table
from kubeports.errors import InputError
from kubeports.traffic import IPIP

HEADER = "service,protocol,family,start,end,when,source,target,why\n"
GOOD = "ssh,tcp,any,22,22,always,admins,nodes,log in\n"

#: The requirement as KubeSphere publishes it, row by row: service, protocols, first port, last port, when.
EXPECTED = [
    ("ssh", {6}, 22, 22, "always"),
    ("etcd", {6}, 2379, 2380, "always"),
    ("apiserver", {6}, 6443, 6443, "always"),
    ("calico", {6}, 9099, 9100, "calico: ipip classic vxlan bgp"),
    ("bgp", {6}, 179, 179, "calico: ipip classic bgp"),
    ("nodeport", {6}, 30000, 32767, "always"),
    ("master", {6}, 10250, 10258, "always"),
    ("dns", {6}, 53, 53, "always"),
    ("dns", {17}, 53, 53, "always"),
    ("local-registry", {6}, 5000, 5000, "offline"),
    ("local-apt", {6}, 5080, 5080, "offline"),
    ("rpcbind", {6}, 111, 111, "nfs"),
    ("ipip", {4}, None, None, "calico: ipip classic"),
    ("ipip", {94}, None, None, "calico: classic"),
    ("metrics-server", {6}, 8443, 8443, "always"),
]


def required() -> list[table.Row]:
    return [row for row in table.load() if row.origin == table.REQUIREMENT]


def test_every_row_of_the_requirement_stands_in_its_order() -> None:
    assert [(r.service, {r.protocol}, r.start, r.end, r.when) for r in required()] == EXPECTED


def test_the_published_file_says_the_same() -> None:
    with open(Path(__file__).parents[2] / "sandbox" / "requirement.csv", newline="") as file:
        published = list(csv.DictReader(file))
    assert len(published) == 14
    numbers = {"TCP": 6, "UDP": 17, "IPENCAP / IPIP": 4}
    mine = [(r.service, r.protocol, r.start, r.end) for r in required() if r.protocol != IPIP]
    theirs = [
        (
            row["service"],
            numbers[row["protocol"]],
            int(row["start_port"]) if row["start_port"] else None,
            int(row["end_port"] or row["start_port"]) if row["start_port"] else None,
        )
        for row in published
    ]
    assert mine == theirs
    assert {row["action"] for row in published} == {"allow"}


def test_ipip_has_no_ports_and_is_for_ipv4_alone() -> None:
    rows = [row for row in required() if row.service == "ipip"]
    assert [(r.protocol, r.start, r.end, r.families) for r in rows] == [(4, None, None, ("ipv4",)), (94, None, None, ("ipv4",))]


def test_every_extra_is_off_until_asked_for_and_says_where_it_comes_from() -> None:
    extras = [row for row in table.load() if row.origin == table.EXTRAS]
    chosen = {"cni": ("calico",), "calico": ("ipip",)}
    opened = [row for row in extras if row.conditions.unmet(chosen, enabled=False) is None]
    # IP-in-IP carries IPv4 alone: pods of IPv6 send their own packets.
    assert [(row.service, row.families) for row in opened] == [("pods", ("ipv6",))]
    assert all(row.page.startswith("https://") for row in extras)


@pytest.mark.parametrize(
    ("text", "place", "says"),
    [
        ("", "t.csv: is empty", "service,protocol"),
        (HEADER, "t.csv: has a header", "row"),
        ("\ufeff" + HEADER + GOOD, "t.csv: starts with a byte-order mark", "without BOM"),
        ((HEADER + GOOD).replace("\n", "\r\n"), "t.csv: has carriage returns", "line feeds"),
        (HEADER.replace(",why", "") + GOOD, "t.csv: line 1: the header lacks the column why", "write service"),
        (HEADER.replace("why", "reason") + GOOD, "t.csv: line 1", "lacks the column why"),
        (HEADER.replace("start,end", "end,start") + GOOD, "t.csv: line 1", "another order"),
        (HEADER + "ssh,tcp,any,22\n", "t.csv: line 2: has 4 cells", "write 9"),
        (HEADER + GOOD.replace("22,22", "70000,70000"), "t.csv: line 2: start: 70000 is not a port", "1-65535"),
        (HEADER + GOOD.replace("22,22", "0,22"), "t.csv: line 2: start: 0 is not a port", "1-65535"),
        (HEADER + GOOD.replace("22,22", "23,22"), "t.csv: line 2: start 23 is after end 22", "write start: 22 and end: 23"),
        (HEADER + GOOD.replace("22,22", "22/tcp,22"), "t.csv: line 2: start: '22/tcp' is not a port", "write 22"),
        (HEADER + GOOD.replace("22,22", ","), "t.csv: line 2: tcp needs ports", "start and end"),
        (HEADER + GOOD.replace("tcp", "4"), "t.csv: line 2: protocol 4 has no ports", "leave out start and end"),
        (HEADER + GOOD.replace("tcp", "TCP"), "t.csv: line 2: protocol: 'TCP' is not a protocol", "Did you mean 'tcp'?"),
        (HEADER + GOOD.replace("tcp", "6"), "t.csv: line 2: protocol: '6' has a name", "write tcp"),
        (HEADER + GOOD.replace("tcp,any,22,22", "ipip,any,,"), "t.csv: line 2: protocol: 'ipip' is 4", "write 4"),
        (HEADER + GOOD.replace("any", "ipv5"), "t.csv: line 2: family: 'ipv5'", "ipv4"),
        (HEADER + GOOD.replace("always", "sometimes"), "t.csv: line 2: when: 'sometimes'", "offline"),
        (HEADER + GOOD.replace("admins", "admin"), "t.csv: line 2: source: 'admin' is unknown", "'admins'"),
        (HEADER + GOOD.replace("admins", ""), "t.csv: line 2: source: is empty", "who may connect"),
        (HEADER + GOOD.replace("nodes", "node"), "t.csv: line 2: target: 'node'", "'nodes'"),
        (HEADER + GOOD.replace("log in", "it's"), "t.csv: line 2: why", "letters"),
        (HEADER + GOOD.replace("ssh", "SSH"), "t.csv: line 2: service: 'SSH'", "Did you mean 'ssh'?"),
        (HEADER + GOOD.replace("ssh", " ssh"), "t.csv: line 2: service: ' ssh' has space", "'ssh'"),
        (HEADER + GOOD + GOOD, "t.csv: line 3: ssh tcp/22 stands twice", "leave one"),
        (HEADER + GOOD + GOOD.replace("nodes", "etcd"), "t.csv: line 3: ssh tcp/22 contradicts", "one row"),
        (HEADER + GOOD + GOOD.replace("ssh", "shell"), "t.csv: line 3: shell tcp/22 repeats the row of ssh", "leave one"),
        (HEADER + 'ssh,"tcp\n', "t.csv: line 2: is not CSV", "quotes"),
    ],
)
def test_a_wrong_table_is_refused_with_place_and_remedy(text: str, place: str, says: str) -> None:
    with pytest.raises(InputError) as error:
        table.read(text.encode(), "t.csv")
    assert str(error.value).startswith(place)
    assert says in str(error.value)


def test_all_wrong_rows_are_named_at_once() -> None:
    with pytest.raises(InputError) as error:
        table.read((HEADER + GOOD.replace("22,22", "0,0") + GOOD.replace("any", "x")).encode(), "t.csv")
    assert [problem.where for problem in error.value.problems] == ["t.csv: line 2: start", "t.csv: line 3: family"]


def test_bytes_that_are_not_utf8_are_refused() -> None:
    with pytest.raises(InputError, match="not UTF-8 at byte 0"):
        table.read(b"\xff", "t.csv")


def test_a_protocol_without_ports_is_not_read_as_a_port() -> None:
    shown = {str(row) for row in table.load()}
    assert {"tcp/22", "tcp/2379-2380", "protocol 4", "protocol 94"} <= shown
    assert not [each for each in shown if each.isdecimal()]


def test_a_package_without_its_table_is_blamed_and_no_stack(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(table, "files", lambda name: tmp_path)
    with pytest.raises(
        InputError, match=r"^tables/kubesphere.csv: can't be read \(No such file or directory\), and is part of kubeports"
    ):
        table.load.__wrapped__()


def test_a_row_says_whether_it_may_be_public_and_what_it_needs() -> None:
    rows = {(row.service, row.protocol): row for row in table.load()}
    assert table.public(rows.values()) == ("apiserver", "ingress-http", "ingress-https", "nodeport", "nodeport-udp")
    assert {name for (name, _), row in rows.items() if row.needs} == {"rpcbind", "rpcbind-udp"}


@pytest.mark.parametrize(
    ("cells", "message"),
    [
        ("maybe,", "line 2: public: 'maybe' is unknown. Fix: write yes, or leave it empty"),
        (",shh", "t.csv: ssh: needs: no row is called 'shh'. Did you mean 'ssh'?"),
    ],
)
def test_a_wrong_mark_of_a_row_is_refused(tmp_path: Path, cells: str, message: str) -> None:
    file = tmp_path / "t.csv"
    file.write_text(HEADER.replace("why", "why,public,needs") + GOOD.rstrip("\n") + f",{cells}\n")
    with pytest.raises(InputError) as raised:
        table.from_file(file, "t.csv")
    assert message in str(raised.value)


def test_a_named_table_says_where_it_comes_from_and_every_row_has_a_page() -> None:
    for name, about in table.index().items():
        assert about.version and about.read >= "2026-11-27" and about.page.startswith("https://")
        assert all(row.page.startswith("https://") for row in table.load(name)), name


def test_the_tables_of_kubesphere_3_and_4_have_the_same_rows() -> None:
    def rows(name: str) -> set[tuple[object, ...]]:
        return {(r.service, r.protocol, r.start, r.end, r.when, r.source, r.target) for r in table.load(name)}

    assert rows("kubesphere") == rows("kubesphere-4.1")


@pytest.mark.parametrize("name", ["nosuch", "kubespher", "missing.csv", "sub/missing.csv", "a\0.csv"])
def test_a_table_that_is_not_there_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(InputError):
        table.find(name, (tmp_path,))


def test_the_message_says_which_files_were_tried(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"there is no file .*one/x\.csv or .*two/x\.csv"):
        table.find("x.csv", (tmp_path / "one", tmp_path / "two"))


def test_one_service_may_have_two_targets_on_one_port() -> None:
    two = "api,tcp,any,6443,6443,always,cluster,control-plane,a\napi,tcp,any,6443,6443,always,cluster,worker,b\n"
    assert [row.target for row in table.read((HEADER + two).encode(), "t.csv")] == ["control-plane", "worker"]
