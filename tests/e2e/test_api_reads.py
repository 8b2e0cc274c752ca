"""Lists and watches: selectors, pages, revisions."""
import base64
import itertools
import json
import threading
import time

import pytest

from api import Api, facts
from manifests import config_map, pod


def create(api, maps, name, **labels):
    answer = api("POST", maps, {"metadata": {"name": name, "labels": labels}, "data": {"k": name}})
    assert answer.status == 201
    return answer.body


def revision(body):
    return int(body["metadata"]["resourceVersion"])


def names(answer):
    assert answer.status == 200, answer.data
    return [item["metadata"]["name"] for item in answer.body["items"] if item["metadata"]["name"] != "kube-root-ca.crt"]


@pytest.fixture
def maps(ns, api):
    """ConfigMaps of the namespace, once the controllers have put theirs there."""
    path = f"/api/v1/namespaces/{ns}/configmaps"
    for _ in range(200):
        if api.get(f"{path}/kube-root-ca.crt").status == 200:
            break
        time.sleep(0.02)
    return path


# -- lists --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("selector,expected", [
    ("app=x", "ab"), ("app==x", "ab"), ("app!=x", "cd"), ("app in (x,y)", "abc"), ("app notin (x)", "cd"), ("app", "abc"), ("!app", "d"),
    ("app=x,tier=1", "a"), ("tier in (1, 2),app", "abc"), ("app=", ""), ("tier>1", "bc"), ("tier<2", "a"),
])
def test_label_selectors(api, maps, selector, expected):
    create(api, maps, "a", app="x", tier="1"), create(api, maps, "b", app="x", tier="2"), create(api, maps, "c", app="y", tier="2"), create(api, maps, "d")
    found = names(api.get(maps, labelSelector=selector, fieldSelector="metadata.name!=kube-root-ca.crt"))
    assert found == list(expected)


def test_broken_selectors_are_400(api, maps):
    for selector in ("app in x", "=x", "a b", "app=x,", "-a=x"):
        answer = api.get(maps, labelSelector=selector)
        assert answer.status == 400, (selector, answer.data)
    assert api.get(maps, fieldSelector="data.k=x").status == 400
    assert 'field label not supported: data.k' in api.get(maps, fieldSelector="data.k=x").body["message"]


def test_field_selectors(api, maps, ns):
    create(api, maps, "a"), create(api, maps, "b")
    assert names(api.get(maps, fieldSelector="metadata.name=a")) == ["a"]
    assert names(api.get("/api/v1/configmaps", fieldSelector=f"metadata.namespace={ns},metadata.name!=a")) == ["b"]
    assert names(api.get("/api/v1/namespaces", fieldSelector="status.phase=Active,metadata.name=kube-system")) == ["kube-system"]


def test_pages_show_one_snapshot_while_objects_change(api, maps):
    for i in range(9):
        create(api, maps, f"a{i}")
    path = maps.replace("/configmaps", "/configmaps")
    first = api.get(path, limit=4)
    assert len(first.body["items"]) == 4 and first.body["metadata"]["remainingItemCount"] == 6
    api("DELETE", f"{maps}/a8"), create(api, maps, "a9"), api.patch(f"{maps}/a7", {"data": {"k": "changed"}})
    seen, token, pages = list(first.body["items"]), first.body["metadata"]["continue"], 1
    while token:
        page = api.get(path, **{"limit": 4, "continue": token}).body
        assert page["metadata"]["resourceVersion"] == first.body["metadata"]["resourceVersion"]
        seen += page["items"]
        token = page["metadata"].get("continue")
        pages += 1
    assert pages == 3
    found = {item["metadata"]["name"]: item.get("data", {}).get("k") for item in seen}
    assert found["a8"] == "a8" and found["a7"] == "a7" and "a9" not in found and len(found) == len(seen) == 10


def test_pages_with_a_selector_are_full(api, maps):
    for i in range(10):
        create(api, maps, f"a{i}", odd=str(i % 2))
    first = api.get(maps, limit=3, labelSelector="odd=1")
    assert names(first) == ["a1", "a3", "a5"] and "remainingItemCount" not in first.body["metadata"]
    rest = api.get(maps, **{"limit": 3, "labelSelector": "odd=1", "continue": first.body["metadata"]["continue"]})
    assert names(rest) == ["a7", "a9"] and not rest.body["metadata"].get("continue")


def test_broken_continue_tokens_are_400(api, maps):
    token = lambda **members: base64.urlsafe_b64encode(json.dumps(members).encode()).decode().rstrip("=")
    v = {"v": "meta.k8s.io/v1"}
    for broken, why in (("nonsense", ""), ("e30", "server does not recognize this encoded version"), (token(**v, rv=0, start="x"), "incorrect encoded start resourceVersion"),
                        (token(**v, rv=1), "encoded start key empty"), (token(**v, rv=1, start="../secrets/x"), "")):
        answer = api.get(maps, **{"limit": 1, "continue": broken})
        assert answer.status == 400 and f"invalid continue token: continue key is not valid: {why}" in answer.body["message"], (broken, answer.data)
    good = token(**v, rv=revision(create(api, maps, "a")), start="x")
    assert "specifying resource version is not allowed when using continue" in api.get(maps, **{"continue": good, "resourceVersion": "5"}).body["message"]


def test_lists_of_a_revision(api, maps):
    before = revision(create(api, maps, "a"))
    create(api, maps, "b")
    exact = api.get(maps, resourceVersion=before, resourceVersionMatch="Exact")
    assert names(exact) == ["a"] and revision(exact.body) == before
    assert names(api.get(maps, resourceVersion=before, resourceVersionMatch="NotOlderThan")) == ["a", "b"]
    assert names(api.get(maps, resourceVersion="0")) == names(api.get(maps)) == ["a", "b"]
    assert names(api.get(maps, resourceVersion="0", limit=1)) == ["a"] or names(api.get(maps, resourceVersion="0", limit=1)) == ["a", "b"]
    assert api.get(maps, resourceVersion="x").status == 400
    late = api.get(maps, resourceVersion=before + 1_000_000)
    assert late.status == 504 and "Too large resource version" in late.body["message"]


FORBIDDEN, LIST_MATCHES = "resourceVersionMatch: Forbidden: ", '"Exact", "NotOlderThan", ""'


@pytest.mark.parametrize("query,why", [
    ("resourceVersionMatch=Exact", FORBIDDEN + "resourceVersionMatch is forbidden unless resourceVersion is provided"),
    ("resourceVersionMatch=NotOlderThan", FORBIDDEN + "resourceVersionMatch is forbidden unless resourceVersion is provided"),
    ("resourceVersion=0&resourceVersionMatch=Exact", FORBIDDEN + 'resourceVersionMatch "exact" is forbidden for resourceVersion "0"'),
    ("resourceVersion=1&resourceVersionMatch=Newest", f'resourceVersionMatch: Unsupported value: "Newest": supported values: {LIST_MATCHES}'),
    ("resourceVersion=1&resourceVersionMatch=Exact&continue=x", FORBIDDEN + "resourceVersionMatch is forbidden when continue is provided"),
    ("sendInitialEvents=true", "sendInitialEvents: Forbidden: sendInitialEvents is forbidden for list"),
    ("watch=1&sendInitialEvents=true", FORBIDDEN + "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan"),
    ("watch=1&sendInitialEvents=false", FORBIDDEN + "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan"),
    ("watch=1&resourceVersion=1&resourceVersionMatch=NotOlderThan", FORBIDDEN + "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided"),
    ("watch=1&sendInitialEvents=true&resourceVersionMatch=Exact", 'resourceVersionMatch: Unsupported value: "Exact": supported values: "NotOlderThan"'),
    ("watch=1&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&continue=x", FORBIDDEN + "resourceVersionMatch is forbidden when continue is provided"),
])
def test_what_does_not_go_together_is_refused(api, maps, query, why):
    answer = api.get(f"{maps}?{query}")
    assert answer.status == 422 and answer.body["details"]["kind"] == "ListOptions", answer.data
    assert answer.body["message"].startswith('ListOptions.meta.k8s.io "" is invalid: ') and why in answer.body["message"]
    if "watch" not in query:
        assert api("DELETE", f"{maps}?{query}").status == 422


def test_an_object_and_a_selector_of_another_do_not_go_together(api, maps):
    create(api, maps, "a")
    answer = api.get(f"{maps}/a", watch=1, fieldSelector="metadata.name=b")
    assert answer.status == 400 and "fieldSelector metadata.name doesn't match requested name" in answer.body["message"]


# -- watches ------------------------------------------------------------------------------------------------------------


def take(events, count):
    return list(itertools.islice(events, count))


def test_a_watch_from_a_revision_shows_what_came_after(api, maps):
    start = revision(create(api, maps, "a"))
    create(api, maps, "b")
    changed = api.patch(f"{maps}/a", {"data": {"k": "2"}}).body
    api("DELETE", f"{maps}/b")
    events = take(api.watch(maps, resourceVersion=start, timeoutSeconds=10), 3)
    assert facts(events) == [("ADDED", "b"), ("MODIFIED", "a"), ("DELETED", "b")]
    assert events[1]["object"] == changed
    revisions = [revision(event["object"]) for event in events]
    assert revisions == sorted(set(revisions)) and revisions[0] > start
    assert events[2]["object"]["data"] == {"k": "b"}


@pytest.mark.parametrize("query", [{"resourceVersion": "0"}, {}])
def test_a_watch_from_nowhere_begins_with_what_is_there(api, maps, query):
    create(api, maps, "a"), create(api, maps, "b")
    events = api.watch(maps, fieldSelector="metadata.name!=kube-root-ca.crt", timeoutSeconds=10, **query)
    assert facts(take(events, 2)) == [("ADDED", "a"), ("ADDED", "b")]
    create(api, maps, "c")
    assert facts(take(events, 1)) == [("ADDED", "c")]


def test_a_watch_from_nowhere_says_when_that_was_all(api, maps):
    create(api, maps, "a")
    seen = take(api.watch(maps, allowWatchBookmarks="true", fieldSelector="metadata.name=a", timeoutSeconds=10), 2)
    assert facts(seen[:1]) == [("ADDED", "a")]
    assert seen[1]["type"] == "BOOKMARK" and seen[1]["object"]["metadata"]["annotations"] == {"k8s.io/initial-events-end": "true"}
    events = api.watch(maps, sendInitialEvents="false", resourceVersionMatch="NotOlderThan", allowWatchBookmarks="true", timeoutSeconds=10)
    begun = threading.Timer(0.5, lambda: Api(api.cluster)("POST", maps, config_map("b")))
    begun.start()
    assert facts(take(events, 1)) == [("ADDED", "b")]


@pytest.mark.parametrize("form,kind", [("Table", "Table"), ("PartialObjectMetadata", "PartialObjectMetadata")])
def test_other_forms_are_watched_with_bookmarks(api, maps, form, kind):
    create(api, maps, "a", app="x")
    seen = take(api.watch(maps, {"Accept": f"application/json;as={form};v=v1;g=meta.k8s.io"}, labelSelector="app=x", sendInitialEvents="true",
                          resourceVersionMatch="NotOlderThan", allowWatchBookmarks="true", timeoutSeconds=10), 2)
    assert [(event["type"], event["object"]["kind"]) for event in seen] == [("ADDED", kind), ("BOOKMARK", kind)]
    objects = [event["object"]["rows"][0]["object"] if form == "Table" else event["object"] for event in seen]
    assert objects[0]["metadata"]["name"] == "a" and "data" not in objects[0]
    assert objects[1]["metadata"]["annotations"] == {"k8s.io/initial-events-end": "true"}


def test_a_streamed_list_ends_with_a_bookmark(api, maps):
    create(api, maps, "a")
    events = api.watch(maps, sendInitialEvents="true", resourceVersionMatch="NotOlderThan", allowWatchBookmarks="true", timeoutSeconds=10)
    seen = take(events, 3)
    assert sorted(facts(seen[:2])) == [("ADDED", "a"), ("ADDED", "kube-root-ca.crt")]
    assert seen[2]["type"] == "BOOKMARK" and seen[2]["object"]["metadata"]["annotations"] == {"k8s.io/initial-events-end": "true"}
    assert seen[2]["object"]["kind"] == "ConfigMap" and revision(seen[2]["object"]) >= revision(seen[0]["object"])


def test_selectors_turn_changes_into_coming_and_going(api, maps):
    start = revision(create(api, maps, "a", app="y"))
    events = api.watch(maps, labelSelector="app=x", resourceVersion=start, timeoutSeconds=10)
    create(api, maps, "other", app="y")
    api.patch(f"{maps}/a", {"metadata": {"labels": {"app": "x"}}})
    api.patch(f"{maps}/a", {"data": {"k": "2"}})
    left = api.patch(f"{maps}/a", {"metadata": {"labels": {"app": "z"}}, "data": {"k": "3"}}).body
    api.patch(f"{maps}/a", {"metadata": {"labels": {"app": "x"}}})
    api("DELETE", f"{maps}/a")
    seen = take(events, 5)
    assert facts(seen) == [("ADDED", "a"), ("MODIFIED", "a"), ("DELETED", "a"), ("ADDED", "a"), ("DELETED", "a")]
    assert revision(seen[2]["object"]) == revision(left) and seen[2]["object"]["metadata"]["labels"] == {"app": "x"}


def test_field_selectors_follow_pods_to_their_node(api, ns, maps):
    path = f"/api/v1/namespaces/{ns}/pods"
    start = revision(create(api, maps, "a"))
    events = api.watch(path, fieldSelector="spec.nodeName=far", resourceVersion=start, timeoutSeconds=10)
    assert api("POST", path, pod("one", nodeSelector={"no": "where"})).status == 201
    api("POST", f"{path}/one/binding", {"metadata": {"name": "one"}, "target": {"kind": "Node", "name": "far"}})
    assert facts(take(events, 1)) == [("ADDED", "one")]
    api("DELETE", f"{path}/one", gracePeriodSeconds=0)


def test_a_watch_ends_at_its_time(api, maps):
    begun = time.monotonic()
    assert list(api.watch(maps, resourceVersion=revision(create(api, maps, "a")), timeoutSeconds=1)) == []
    assert 0.9 < time.monotonic() - begun < 5


def test_one_object_can_be_watched(api, maps):
    start = revision(create(api, maps, "a"))
    create(api, maps, "b")
    api.patch(f"{maps}/a", {"data": {"k": "2"}})
    assert facts(take(api.watch(maps, fieldSelector="metadata.name=a", resourceVersion=start, timeoutSeconds=10), 1)) == [("MODIFIED", "a")]
    old_form = api.watch(maps.replace("/api/v1/", "/api/v1/watch/") + "/a", resourceVersion=start, timeoutSeconds=10)
    assert facts(take(old_form, 1)) == [("MODIFIED", "a")]


def test_a_watch_from_too_long_ago_is_gone(own_cluster):
    own_cluster.flags["node"] = "false"
    own_cluster.start()
    api, maps = Api(own_cluster), "/api/v1/namespaces/default/configmaps"
    start = revision(create(api, maps, "a"))
    create(api, maps, "b")
    api.close()
    own_cluster.kill9()
    own_cluster.start()  # what happened before is in no ring any more
    answer = take(api.watch(maps, resourceVersion=start, timeoutSeconds=5), 1)[0]
    assert answer["type"] == "ERROR" and (answer["object"]["code"], answer["object"]["reason"]) == (410, "Expired")
    listed = api.get(maps).body
    create(api, maps, "c")
    assert facts(take(api.watch(maps, resourceVersion=listed["metadata"]["resourceVersion"], timeoutSeconds=5), 1)) == [("ADDED", "c")]


def test_many_watchers_see_the_same_in_the_same_order(plane, api, maps):
    start, seen = revision(create(api, maps, "a")), {}

    def follow(number):
        seen[number] = [revision(event["object"]) for event in take(Api(plane).watch(maps, resourceVersion=start, timeoutSeconds=20), 60)]

    threads = [threading.Thread(target=follow, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    written = [revision(api.patch(f"{maps}/a", {"data": {"k": str(i)}}).body) for i in range(60)]
    for thread in threads:
        thread.join(25)
    assert len(seen) == 8 and all(revisions == written for revisions in seen.values())
