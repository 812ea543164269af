"""The report: what the plan has stands on the page, nothing else does, and text stays text."""

from __future__ import annotations

import filecmp
import os
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from bs4 import BeautifulSoup, Tag
from click.testing import CliRunner
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from kubeports import report, table
from kubeports.check import check
from kubeports.cli import main
from kubeports.clouds import CLOUDS, backend
from kubeports.errors import InputError
from kubeports.report import comparison, picture, view
from kubeports.rules import Disabled, Plan, Rule, Source
from kubeports.settings import Ref

from tests.golden import ROOT, STACKS, planned
from tests.strategies import plan_of
from tests.strategies import settings as any_settings

TAGGED = "<script>alert('&amp;')</script>\"><img src=x onerror=alert(1)>"


@cache
def page(*stacks: str) -> BeautifulSoup:
    return BeautifulSoup(report.page({stack: planned(stack) for stack in stacks}), "html.parser")


def text(tag: Tag) -> str:
    return " ".join(tag.get_text().split())


def the(inside: Tag, selector: str) -> Tag:
    found = inside.select(selector)
    assert len(found) == 1, f"{len(found)} of {selector}"
    return found[0]


Fact = tuple[str, str, str, str, str]


def shown(matrix: Tag, families: tuple[str, ...]) -> Counter[Fact]:
    """Heading, service, entry, source and family: what the matrix says, read from the page alone."""
    facts: Counter[Fact] = Counter()
    for body in matrix.select("tbody"):
        heading = text(the(body, "tr.block"))
        for row in body.select("tr:not(.block)"):
            service, entry = text(the(row, ".service")), text(the(row, "td.entry"))
            for chip in row.select(".chip"):
                name, _, note = text(chip).partition(" ")
                of = ("ipv6" if ":" in name else "ipv4",) if "/" in name else (note.split()[0],) if note else families
                facts.update((heading, service, entry, name, family) for family in of)
    return facts


def meant(plan: Plan) -> Counter[Fact]:
    """The same of the plan's rules."""

    def heading(rule: Rule) -> str:
        nodes = "every node" if rule.target == "nodes" else f"{rule.target} nodes"
        if rule.action == "deny":
            return "All else, denied by the last rule" + (" out" if rule.direction == "egress" else "")
        return f"Open on {nodes}" if rule.direction == "ingress" else f"Out of {nodes}, to"

    return Counter((heading(rule), ", ".join(rule.services), rule.entry, name(rule.source), rule.family) for rule in plan.rules)


def name(source: Source) -> str:
    return ("@" if source.kind == "ref" else "") + source.value


@pytest.mark.parametrize("stack", STACKS)
def test_the_matrix_says_what_the_rules_say_and_nothing_else(stack: str) -> None:
    plan = planned(stack)
    assert shown(the(page(stack), "table.matrix"), plan.settings.families) == meant(plan)


@hypothesis_settings(max_examples=25)
@given(any_settings())
def test_the_matrix_says_what_the_rules_say_for_any_stack(raw: dict[str, Any]) -> None:
    try:
        planned = plan_of(raw)
    except InputError:
        return
    matrix = the(BeautifulSoup(report.page({"any": planned}), "html.parser"), "table.matrix")
    assert shown(matrix, planned.settings.families) == meant(planned)


@pytest.mark.parametrize("stack", STACKS)
def test_every_reason_stands_beside_its_row(stack: str) -> None:
    rows = [text(the(row, "th")) for row in page(stack).select("table.matrix tr:not(.block):has(.why)")]
    for rule in planned(stack).rules:
        assert any(row.startswith(", ".join(rule.services)) and rule.why in row for row in rows), rule.key


@pytest.mark.parametrize("stack", STACKS)
def test_every_resource_stands_there_with_all_its_inputs(stack: str) -> None:
    resources = backend(planned(stack).settings.cloud).encode(planned(stack))
    rows = page(stack).select("table.resources tbody tr:not(.block)")
    assert {text(the(row, "th")) for row in rows} == set(resources) and len(rows) == len(resources)
    for row in rows:
        inputs = dict(text(item).split(" ", 1) for item in row.select(".inputs li"))
        sent = resources[text(the(row, "th"))].inputs
        assert set(inputs) == set(sent)
        for key, value in sent.items():
            if isinstance(value, str | int):
                assert inputs[key] == str(value)


def test_what_a_cloud_names_by_id_is_named_by_the_group_that_has_it() -> None:
    aws, gcp, openstack = (text(the(page(stack), "table.resources")) for stack in ("aws-prod", "gcp-prod", "openstack-dev"))
    assert "security_group_id ‹prod-etcd›" in aws and "sg-0123456789abcdef0 (@bastion)" in aws
    assert "target_tags prod-etcd" in gcp and "source_tags prod-control-plane, prod-etcd" in gcp and "‹" not in gcp
    assert "remote_group_id ‹dev-nodes›" in openstack


def test_the_types_of_the_resources_are_classes_of_the_sdks() -> None:
    for type_ in (view.sdk_class(each) for cloud in CLOUDS for each in getattr(backend(cloud).facts, "TYPES", {}).values()):
        package, module, name = type_.split(".")
        folder = next(Path(path) / f"pulumi_{package}" for path in sys.path if (Path(path) / f"pulumi_{package}").is_dir())
        assert any(f"class {name}(pulumi.CustomResource)" in file.read_text() for file in (folder / module).glob("*.py")), type_


def test_what_an_sdk_has_at_its_top_is_named_so_and_a_kind_without_a_type_by_itself() -> None:
    assert [view.sdk_class(each) for each in ("hcloud:index/firewall:Firewall", "rule")] == ["hcloud.Firewall", "rule"]


@pytest.mark.parametrize("stack", STACKS)
def test_every_disabled_entry_stands_there_with_its_reason_and_remedy(stack: str) -> None:
    rows = Counter(
        " ".join(text(cell) for cell in row.select("th, td")) for row in page(stack).select("table.disabled tr:not(.block)")
    )
    for entry in planned(stack).disabled:
        ports, _, reason = entry.reason.partition(": ")
        assert rows[f"{entry.service} {ports} {entry.source or 'everybody'} {reason} {entry.remedy}"] == 1, entry


def test_a_reason_without_an_entry_is_whole() -> None:
    shut = view.disabled(
        replace(planned("aws-dev"), disabled=(Disabled("egress", None, "the group: it is theirs", "list CIDRs"),))
    )
    assert (shut[0].entry, shut[0].reason) == ("", "the group: it is theirs")


def test_warnings_stand_at_the_top() -> None:
    warned = replace(planned("aws-dev"), warnings=("first of them", "second of them"))
    content = BeautifulSoup(report.page({"x": warned}), "html.parser")
    assert [text(each) for each in content.select("p.warning")] == ["Warning: first of them", "Warning: second of them"]


def test_what_is_open_to_the_world_is_said_first_and_nothing_else_is() -> None:
    world = text(the(page("aws-prod"), "p.note.world"))
    ports = next(str(row) for row in table.load() if row.service == "nodeport")
    assert world == f"Open to the internet: nodeport ({ports}) on worker nodes, from 0.0.0.0/0 and ::/0."
    assert text(the(page("aws-dev"), "p.note")) == "Nothing is open to the internet."


def test_rows_that_are_moved_added_or_extra_say_so() -> None:
    raw = {
        "cloud": "openstack",
        "cluster": "c",
        "sources": {"admins": ["10.0.0.0/8"], "clients": []},
        "services": {
            "ssh": {"start": 2022},
            "typha": {"enabled": True},
            "wireguard": {"enabled": True},
            "own": {"protocol": "tcp", "start": 9200, "source": ["cluster"], "why": "mine"},
        },
    }
    found = {line.service: line for line in view.lines(check(None, raw))}
    ssh = next(str(row) for row in table.load() if row.service == "ssh")
    assert found["ssh"].tags == (f"moved from {ssh}",)
    assert found["typha"].tags == found["wireguard"].tags == ("not in the table",)
    assert found["typha"].page.startswith("https://")
    assert found["own"].tags == ("this stack's own row",)
    assert found["etcd"].tags == found["egress"].tags == ()


# The picture


@pytest.mark.parametrize("form", [picture.WIDE, picture.NARROW], ids=lambda form: form.name)
@pytest.mark.parametrize("stack", STACKS)
def test_the_picture_has_a_line_from_every_source_to_every_port_that_it_reaches(stack: str, form: picture.Form) -> None:
    of = view.stack(stack, planned(stack))
    reached = {(who.name, i) for i, line in enumerate(of.lines) if view.is_open(line) for who in line.who}
    assert {(who, i) for each in of.reach for who in each.names for i in each.lines} == reached
    drawn = picture.draw(of, form)
    assert sum(len(box.curves) for box in drawn.sources) == sum(len(each.lines) for each in of.reach) + len(of.out)
    assert all(len(box.curves) == len(box.ends) for box in drawn.sources)
    written = [each.text for box in drawn.nodes for each in box.texts]
    for line in of.lines:
        if view.is_open(line):
            assert line.entry in written and line.services[0] in " ".join(written)


@hypothesis_settings(max_examples=60)
@given(any_settings())
def test_in_the_picture_no_boxes_overlap_and_no_letters_leave_their_box(raw: dict[str, Any]) -> None:
    try:
        planned = plan_of(raw)
    except InputError:
        return
    for form in (picture.WIDE, picture.NARROW):
        drawn = picture.draw(view.stack("any", planned), form)
        for column in (drawn.sources, drawn.nodes):
            for above, below in pairwise(column):
                assert above.y + above.height < below.y
            for box in column:
                assert box.y >= 0 and box.y + box.height <= drawn.height + 0.2
                for each in box.texts:
                    assert box.y < each.y < box.y + box.height
                    if each.role != "head":
                        assert each.x + len(each.text) * form.size * 0.61 <= box.x + box.width + 1, each.text


def test_many_sources_are_folded_and_none_is_lost() -> None:
    cidrs = [f"10.{i}.0.0/16" for i in range(0, 200, 2)]
    raw = {"cloud": "openstack", "cluster": "c", "sources": {"admins": cidrs, "clients": []}, "limits": {"rules": 5000}}
    planned = check(None, raw)
    content = BeautifulSoup(report.page({"many": planned}), "html.parser")
    assert shown(the(content, "table.matrix"), ("ipv4",)) == meant(planned)
    box = next(box for box in picture.draw(view.stack("many", planned), picture.WIDE).sources if box.kind == "network")
    assert box.texts[-1].text == "and 96 more"


def test_a_stack_without_rules_has_a_page_that_says_so() -> None:
    content = BeautifulSoup(report.page({"empty": replace(planned("aws-dev"), rules=())}), "html.parser")
    assert not content.select("table.matrix, svg")
    assert text(the(content, "#s1-matrix p")) == "The stack has no rule: nothing is open."
    assert "No source" in text(the(content, ".words dl"))


# The difference


def differing(plans: Mapping[str, Plan]) -> list[str]:
    return [each.title for each in comparison.compare(plans).differing]


def test_equal_stacks_differ_in_nothing() -> None:
    plans = {"a": planned("aws-dev"), "b": planned("aws-dev")}
    assert differing(plans) == [] and comparison.compare(plans).settings == ()
    assert "None: the stacks allow the same" in report.page(plans)


def test_a_dropped_row_a_moved_port_and_another_source_each_differ_alone() -> None:
    base = planned("openstack-dev")
    ssh = next(rule for rule in base.rules if rule.services == ("ssh",))
    others = tuple(rule for rule in base.rules if rule != ssh)
    assert differing({"a": base, "b": replace(base, rules=others)}) == ["ssh"]
    assert differing({"a": base, "b": replace(base, rules=(*others, replace(ssh, from_port=2022, to_port=2022)))}) == ["ssh"]
    elsewhere = replace(ssh, source=Source("cidr", "10.21.0.0/16"))
    assert differing({"a": base, "b": replace(base, rules=(*others, elsewhere))}) == ["ssh"]
    assert differing({"a": base, "b": replace(base, rules=(*others, replace(ssh, target="worker")))}) == ["ssh"]


def test_a_difference_marks_what_one_stack_alone_has_and_says_why_another_has_nothing() -> None:
    content = the(page("aws-dev", "aws-prod", "openstack-offline"), "#difference")
    cells = {text(the(row, "th")): row.select("td") for row in content.select("#difference-services tbody tr")}
    assert text(cells["local-registry"][0]) == "disabled: offline is false"
    assert cells["local-registry"][2].select(".apart")
    assert text(cells["custom-exporter"][0]) == "no such row"
    baseline = the(page("aws-dev", "gcp-dev"), "#difference-services tr:has(.deny)")
    assert text(baseline.select("td")[0]) == "no such rule: what no rule allows is denied"
    ssh = [[text(chip) for chip in cell.select(".apart")] for cell in cells["ssh"]]
    assert ssh == [[], ["@bastion ipv4 (only in this stack)", "@bastion ipv6 (only in this stack)"], []]
    settings = {
        text(the(row, "th")): [text(cell) for cell in row.select("td")] for row in content.select("#difference-settings tbody tr")
    }
    assert settings["sources.admins"] == ["10.20.0.0/16", "@bastion", "10.20.0.0/16"]
    assert settings["refs.bastion"] == ["not set", "group sg-0123456789abcdef0", "not set"]
    assert "limits.rules" not in settings


def test_every_stack_has_its_section_and_its_rules() -> None:
    content = page(*STACKS)
    for i, stack in enumerate(STACKS, start=1):
        section = the(content, f"#s{i}")
        assert text(the(section, "h2")).startswith(stack)
        assert shown(the(section, "table.matrix"), planned(stack).settings.families) == meant(planned(stack))


# The page as a file


def test_the_page_asks_nothing_of_the_network_and_runs_no_script() -> None:
    content = page(*STACKS)
    assert not content.select("script, iframe, object, embed, img, [style]")
    assert not [tag for tag in content.find_all(True) if any(key.startswith("on") for key in tag.attrs)]
    for tag in content.select("[src], [href]"):
        address = str(tag.get("src") or tag.get("href"))
        assert address.startswith("#" if tag.name == "a" and not address.startswith("https://") else ("data:", "https://"))
        assert tag.name == "a" or address.startswith("data:")
    policy = str(the(content, "meta[http-equiv=Content-Security-Policy]")["content"])
    assert policy.startswith("default-src 'none'; style-src 'sha256-")
    assert "url(" not in text(the(content, "style")) and "@import" not in text(the(content, "style"))


def test_every_id_stands_once_and_every_link_and_label_finds_one() -> None:
    content = page(*STACKS)
    ids = Counter(str(tag["id"]) for tag in content.select("[id]"))
    assert set(ids.values()) == {1}
    links = {str(tag["href"])[1:] for tag in content.select("a[href^='#']")}
    labels = {word for tag in content.select("[aria-labelledby]") for word in str(tag["aria-labelledby"]).split()}
    assert links | labels <= set(ids)


def test_text_from_outside_stays_text() -> None:
    base = planned("aws-prod")
    rules = [replace(rule, services=(TAGGED,), why=TAGGED) for rule in base.rules]
    rules += [replace(base.rules[0], source=Source("ref", TAGGED), services=(TAGGED,), why=TAGGED)]
    settings = replace(
        base.settings,
        cluster=TAGGED,
        network=TAGGED,
        refs={"bastion": Ref("group", TAGGED, 0, ("ipv4",)), TAGGED: Ref("group", TAGGED, 0, ("ipv4",))},
        existing={"nodes": TAGGED},
    )
    shut = (Disabled(TAGGED, TAGGED, TAGGED, TAGGED),)
    tagged = Plan(settings=settings, rules=tuple(rules), disabled=shut, warnings=(TAGGED,))
    html = report.page({TAGGED: tagged, "other": base})
    content = BeautifulSoup(html, "html.parser")
    assert not content.select("script, img") and "<script" not in html and "<img" not in html
    for selector in (
        "title",
        "h2 ",
        "nav",
        ".matrix .service",
        ".why",
        ".chip.ref",
        ".disabled",
        ".resources",
        ".settings",
        ".warning",
    ):
        assert any(TAGGED in tag.get_text() for tag in content.select(selector)), selector


def test_the_same_stacks_make_the_same_page_whatever_the_seed_of_hashes() -> None:
    command = [str(Path(sys.executable).with_name("kubeports")), "report", "-s", "aws-prod", "-s", "gcp-prod", "-o", "-"]
    pages = {
        subprocess.run(command, cwd=ROOT, check=True, capture_output=True, env=dict(os.environ, PYTHONHASHSEED=seed)).stdout
        for seed in ("1", "2")
    }
    assert len(pages) == 1


def test_a_page_of_all_stacks_is_of_modest_size() -> None:
    assert len(report.page({stack: planned(stack) for stack in STACKS}).encode()) < 500_000


def test_a_missing_jinja_is_said_with_the_command_that_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kubeports.report.find_spec", lambda name: None)
    result = CliRunner().invoke(main, ["report", "-s", "aws-dev", "-o", "-"])
    assert result.exit_code == 2 and not result.stdout
    assert result.stderr.startswith("error: report: needs the package Jinja2, which is not installed. Fix: ")
    assert result.stderr.endswith(" -m pip install 'jinja2>=3.1,<4'\n")


# The command


def run(*arguments: str) -> tuple[int, str, str]:
    result = CliRunner().invoke(main, ["report", *arguments])
    return result.exit_code, result.stdout, result.stderr


def test_a_file_is_written_and_named(tmp_path: Path) -> None:
    file = tmp_path / "report.html"
    code, out, err = run("-s", "aws-dev", "-s", "gcp-dev", "-o", str(file))
    assert (code, out, err) == (0, f"{file}: the ports of aws-dev, gcp-dev\n", "")
    assert file.read_text(encoding="utf-8") == report.page({stack: planned(stack) for stack in ("aws-dev", "gcp-dev")})
    assert [each.name for each in tmp_path.iterdir()] == ["report.html"]


def test_a_dash_is_stdout() -> None:
    code, out, err = run("--file", "stacks/Pulumi.aws-dev.yaml", "-o", "-")
    assert (code, err) == (0, "") and "<title>Ports of aws-dev</title>" in out and out.endswith("</html>\n")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["-o", "x.html"], "no stack is named. Fix: add -s "),
        (["-s", "aws-dev"], "-o / --output is missing. Fix: add -o FILE"),
        (["-s", "nowhere", "-o", "x.html"], "stack nowhere: has no file"),
        (["-s", "aws-dev", "-s", "aws-dev", "-o", "x.html"], "aws-dev: is named twice"),
        (
            ["-s", "aws-dev", "-o", "stacks/Pulumi.aws-dev.yaml"],
            "stacks/Pulumi.aws-dev.yaml: can't be written (it is the stack's own file)",
        ),
        (["-s", "aws-dev", "--file", "stacks/Pulumi.aws-dev.yaml", "-o", "x.html"], "stacks/Pulumi.aws-dev.yaml: is named twice"),
    ],
)
def test_bad_input_writes_nothing(arguments: list[str], says: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "Pulumi.yaml").symlink_to(ROOT / "Pulumi.yaml")
    shutil.copytree(ROOT / "stacks", tmp_path / "stacks")
    monkeypatch.chdir(tmp_path)
    code, out, err = run(*arguments)
    assert (code, out) == (2, "") and says in err
    assert not Path("x.html").exists()
    assert filecmp.cmpfiles(ROOT / "stacks", "stacks", [f"Pulumi.{stack}.yaml" for stack in STACKS])[1:] == ([], [])


def test_the_problems_of_all_stacks_are_named_and_nothing_is_written(tmp_path: Path) -> None:
    for name, cloud in (("a", "azure"), ("b", "oracle")):
        (tmp_path / f"Pulumi.{name}.yaml").write_text(f"config:\n  kubeports:cloud: {cloud}\n  kubeports:cluster: c\n")
    out_file = tmp_path / "x.html"
    files = [f"--file={tmp_path}/Pulumi.{name}.yaml" for name in "ab"]
    code, out, err = run("-s", "aws-dev", *files, "-o", str(out_file))
    assert (code, out) == (2, "") and "'azure' is not a valid value" in err and "'oracle' is not a valid value" in err
    assert not out_file.exists()


def test_stacks_of_one_name_in_two_folders_are_told_apart(tmp_path: Path) -> None:
    copy = tmp_path / "Pulumi.aws-dev.yaml"
    copy.write_text((ROOT / "stacks" / "Pulumi.aws-dev.yaml").read_text())
    code, out, _ = run("-s", "aws-dev", "--file", str(copy), "-o", "-")
    assert code == 0 and f"<title>Ports of aws-dev, {copy}</title>" in out


@pytest.mark.parametrize(
    ("output", "says"),
    [
        ("{}", "can't be written (it is a folder). Fix: name a file"),
        ("{}/missing/x.html", "can't be written (No such file or directory). Fix: name a file"),
        ("{}/loop", "can't be written (Symlink loop"),
        ("{}/" + "y" * 300, "can't be written (File name too long). Fix: name a file"),
        ("/dev/full", "can't be written (No space left on device). Fix: name a file"),
    ],
)
def test_an_output_that_cannot_be_written_is_said(output: str, says: str, tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    output = output.format(tmp_path)
    code, out, err = run("-s", "aws-dev", "-o", output)
    assert (code, out) == (2, "") and err.startswith(f"error: {output}: {says}")
    assert [each.name for each in tmp_path.iterdir()] == ["loop"]


def test_what_stood_there_stays_until_the_new_page_is_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file, link = tmp_path / "report.html", tmp_path / "link.html"
    file.write_text("before")
    file.chmod(0o640)
    link.symlink_to(file)

    def full(self: Path, target: Path) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(Path, "replace", full)
        assert run("-s", "aws-dev", "-o", str(link))[0] == 2
    assert file.read_text() == "before" and sorted(each.name for each in tmp_path.iterdir()) == ["link.html", "report.html"]
    assert run("-s", "aws-dev", "-o", str(link))[0] == 0
    assert link.is_symlink() and file.read_text().startswith("<!doctype html>") and file.stat().st_mode & 0o777 == 0o640
