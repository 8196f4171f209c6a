"""`stock-pipeline dev` as people run it: a process, its terminal and its signals."""

from __future__ import annotations

import os
import signal
import socket
import subprocess

import pytest
from botocore.exceptions import BotoCoreError, ClientError
from pydantic import SecretStr

from stock_pipeline.aws.session import aws_client
from stock_pipeline.commands.dev_overview import status_line
from stock_pipeline.ingest.topics.status import FeedStatus
from stock_pipeline.settings import AwsSettings, load_settings
from stock_pipeline.settings.emulator_keys import emulator_keys
from stock_pipeline.stack.aws import EMULATOR_MODULE
from stock_pipeline.stack.broker import is_ready
from stock_pipeline.stack.ports import LOOPBACK, is_free
from stock_pipeline_tests.support.dev import read_until
from stock_pipeline_tests.support.waiting import until


@pytest.mark.integration
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_dev_starts_keeps_its_home_to_itself_and_stops_on_a_signal(start_dev, ports, home, number):
    dev = start_dev("--no-dagster", "--no-simulator")
    read_until(dev, "is up")

    rival = start_dev("--no-dagster", "--no-simulator")
    said = " ".join(rival.communicate(timeout=60)[0].split())
    assert rival.returncode == 1
    assert f"already runs in {home} (pid {dev.pid})" in said

    dev.send_signal(number)
    assert dev.wait(60) == 0
    assert is_free(ports["kafka"])
    assert is_free(ports["aws"])


@pytest.mark.integration
def test_topics_outlive_a_stop_and_a_dead_broker_is_started_again(start_dev, ports, home):
    from kafka import KafkaAdminClient

    for _ in range(2):
        dev = start_dev("--no-dagster", "--no-simulator")
        read_until(dev, "is up")
        admin = KafkaAdminClient(bootstrap_servers=f"{LOOPBACK}:{ports['kafka']}")
        assert "stock_live_feed" in admin.list_topics()
        admin.close()
        children = subprocess.run(
            ["pgrep", "-P", str(dev.pid), "noida-db"], capture_output=True, text=True
        )
        os.kill(int(children.stdout), signal.SIGKILL)
        read_until(dev, "kafka was started again")
        until(lambda: is_ready(f"{LOOPBACK}:{ports['kafka']}"), "the broker")
        dev.terminate()
        assert dev.wait(60) == 0


@pytest.mark.integration
def test_what_a_killed_aws_emulator_forgets_is_made_again(start_dev, ports, home):
    dev = start_dev("--no-dagster", "--no-simulator")
    read_until(dev, "is up")
    children = subprocess.run(
        ["pgrep", "-P", str(dev.pid), "-f", EMULATOR_MODULE], capture_output=True, text=True
    )
    os.kill(int(children.stdout), signal.SIGKILL)
    read_until(dev, "aws was started again")

    keys = emulator_keys(home)
    aws = AwsSettings(
        endpoint_url=f"http://{LOOPBACK}:{ports['aws']}",
        access_key_id=SecretStr(keys.access_key_id),
        secret_access_key=SecretStr(keys.secret_access_key),
    )

    def has_workgroup() -> bool:
        try:
            aws_client("athena", aws).get_work_group(WorkGroup="stock_pipeline")
        except (ClientError, BotoCoreError):
            return False
        return True

    until(has_workgroup, "the workgroup")
    assert aws_client("glue", aws).get_crawlers()["Crawlers"]
    blocked = aws_client("s3", aws).get_public_access_block(Bucket=aws.bucket)
    assert all(blocked["PublicAccessBlockConfiguration"].values())


@pytest.mark.integration
def test_a_killed_dev_leaves_nothing_running_and_can_be_started_again(start_dev, ports):
    dev = start_dev("--no-dagster", "--no-simulator")
    read_until(dev, "is up")
    dev.kill()
    dev.wait()

    again = start_dev("--no-dagster", "--no-simulator")
    read_until(again, "is up")


def test_a_port_in_use_is_named_with_its_owner_before_anything_starts(start_dev, ports, home):
    with socket.create_server((LOOPBACK, ports["aws"])):
        dev = start_dev()
        said = " ".join(dev.communicate(timeout=60)[0].split())

    assert dev.returncode == 1
    assert f"Port {ports['aws']} (aws) is in use by" in said
    assert f"(pid {os.getpid()}); nothing was started" in said
    assert "STOCK_PIPELINE__PORTS__AWS=" in said
    assert [path.name for path in home.iterdir()] == ["dev.lock"]


def test_dev_is_for_the_local_profile_only(start_dev):
    dev = start_dev(
        STOCK_PIPELINE__PROFILE="aws", STOCK_PIPELINE__KAFKA__BOOTSTRAP_SERVERS="broker:9092"
    )
    said = " ".join(dev.communicate(timeout=60)[0].split())

    assert dev.returncode == 2
    assert "the settings say aws; nothing was started" in said


def status_of(feed: str, batch: int, waiting: int, lost: int = 0) -> FeedStatus:
    return FeedStatus(feed, feed, True, {0: waiting}, lost, (), batch, "", 0)


def test_the_status_line_leaves_out_feeds_without_records():
    feeds = [status_of("trades", 12, 1500), status_of("bars", -1, 0), status_of("daily", -1, 3)]

    assert status_line(feeds) == (
        "trades: batch 12, 1,500 waiting | daily: no batch yet, 3 waiting | 1 feed without records"
    )


def test_the_status_line_shouts_about_lost_records():
    assert status_line([status_of("trades", 3, 0, lost=7)]) == "trades: batch 3, 0 waiting, 7 LOST"


@pytest.mark.integration
@pytest.mark.apache
def test_dev_on_apache_kafka_keeps_its_topics_through_a_restart(start_dev, ports, home):
    from kafka import KafkaAdminClient

    from stock_pipeline_tests.support.apache_kafka import require_apache

    require_apache()
    address = f"{LOOPBACK}:{ports['kafka']}"
    ids = []
    for _ in range(2):
        dev = start_dev("--no-dagster", "--no-simulator", "--broker", "apache")
        read_until(dev, f"{address} (Apache Kafka), topics: {len(load_settings().feeds)}")
        admin = KafkaAdminClient(bootstrap_servers=address)
        ids.append({topic["name"]: topic["topic_id"] for topic in admin.describe_topics()})
        admin.close()
        dev.send_signal(signal.SIGINT)
        assert dev.wait(120) == 0
    assert ids[0] == ids[1]
    assert "stock_live_feed" in ids[0]
    assert (home / "apache" / "kafka" / "data").is_dir()
    assert not (home / "broker").exists()
