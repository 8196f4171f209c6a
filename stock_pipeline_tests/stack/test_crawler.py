from stock_pipeline.stack.crawler import STUCK_SECONDS, Watch


def crawler(state, last=None):
    return {"Name": "c", "State": state, "LastCrawl": {"StartTime": last} if last else None}


def starts(*looks):
    watch = Watch()
    return [bool(watch.started([look], now=0.0)) for look in looks]


def test_a_started_crawler_is_crawled_once():
    looks = [crawler("READY"), crawler("RUNNING"), crawler("RUNNING"), crawler("READY", 1)]
    assert starts(*looks, crawler("READY", 1)) == [False, True, False, False, False]


def test_every_run_is_crawled_again():
    looks = [crawler("RUNNING"), crawler("READY", 1), crawler("RUNNING", 1), crawler("READY", 2)]
    assert starts(*looks) == [True, False, True, False]


def test_a_run_that_began_and_ended_between_two_looks_is_crawled():
    assert starts(crawler("READY", 1), crawler("READY", 2)) == [True, True]


def test_runs_in_quick_succession_are_told_apart():
    assert starts(crawler("RUNNING"), crawler("RUNNING", 1)) == [True, True]


def test_a_stopped_crawler_that_is_started_again_is_crawled():
    looks = [crawler("RUNNING"), crawler("READY"), crawler("RUNNING")]
    assert starts(*looks) == [True, False, True]


def test_a_crawler_that_runs_for_ever_is_stuck():
    watch, running = Watch(), [crawler("RUNNING")]
    watch.started(running, now=0.0)
    assert watch.stuck(running, now=STUCK_SECONDS - 1) == []
    assert watch.stuck(running, now=STUCK_SECONDS + 1) == ["c"]
