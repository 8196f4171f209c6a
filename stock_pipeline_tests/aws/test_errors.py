import pytest
from botocore.exceptions import ClientError, EndpointConnectionError, NoCredentialsError

from stock_pipeline.aws.errors import action_of, aws_sentence


def error(code, operation="PutObject", message="", status=403, **details):
    answer = {
        "Error": {"Code": code, "Message": message, "Service": "s3", **details},
        "ResponseMetadata": {"HTTPStatusCode": status, "RetryAttempts": 4},
    }
    return ClientError(answer, operation)


def test_a_refused_action_names_what_on_what_to_whom():
    message = (
        "User: arn:aws:iam::1:user/me is not authorized to perform: s3:PutObject on resource: "
        '"arn:aws:s3:::lake/x" because no identity-based policy allows the s3:PutObject action'
    )
    denied = error("AccessDenied", message=message, Resource="s3://lake/x")
    assert aws_sentence(denied, "nothing was planned").startswith(
        "AWS does not allow s3:PutObject on s3://lake/x to arn:aws:iam::1:user/me (AccessDenied); "
        "nothing was planned. Allow it"
    )


@pytest.mark.parametrize(
    ("operation", "action"),
    [("HeadObject", "s3:GetObject"), ("ListObjectsV2", "s3:ListBucket"), ("Other", "s3:Other")],
)
def test_an_answer_without_explanation_is_told_by_the_permission_it_needs(operation, action):
    assert action_of(error("403", operation)) == action


@pytest.mark.parametrize("code", ["ExpiredToken", "InvalidAccessKeyId", "SignatureDoesNotMatch"])
def test_refused_credentials_are_no_missing_permission(code):
    sentence = aws_sentence(error(code, message="Credential=AKIAXYZ"), "nothing was read")
    assert sentence.startswith(f"AWS does not accept the credentials for s3:PutObject ({code})")
    # What AWS says of a signature repeats what was signed.
    assert "AKIAXYZ" not in sentence


def test_a_store_that_is_overloaded_is_told_with_its_tries():
    sentence = aws_sentence(error("SlowDown", status=503, message="Please."), "nothing was read")
    assert "with SlowDown (status 503, tried 5 times: Please); nothing was read." in sentence


@pytest.mark.parametrize(
    ("failure", "words"),
    [
        (NoCredentialsError(), "No AWS credentials could be used"),
        (EndpointConnectionError(endpoint_url="http://x"), "cannot be reached"),
        (OSError("no route\nsecond line"), "(no route)"),
    ],
)
def test_what_is_no_answer_of_aws_is_one_line_too(failure, words):
    sentence = aws_sentence(failure, "nothing was read")
    assert words in sentence
    assert "\n" not in sentence
