"""Pods come and go and nothing stays; `./dev bench soak` does the same with 2,000."""
import cluster as support
import soak


def test_pods_that_went_have_left_nothing(own_cluster):
    cluster = own_cluster
    cluster.import_image(support.busybox_image(), "estiba/busybox:test")
    cluster.start()
    soak.prepare(cluster)
    before, after, megabytes_before, megabytes_after = soak.soak(cluster, waves=6, at_once=10)
    assert {kind: count - before[kind] for kind, count in after.items() if count > before[kind]} == {}
    # The store keeps five minutes of history, some 30 KiB for each pod's life; what were kept for ever would show in the benchmark.
    assert megabytes_after < megabytes_before + 12, (megabytes_before, megabytes_after)
    cluster.stop()
    assert cluster.leftovers() == []
