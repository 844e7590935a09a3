"""What the database keeps of who may ask: accounts, their API keys, their people, their stream tickets."""

from django.conf import settings
from django.db import models

from orders.engine_clock import EngineNow


class Account(models.Model):
    """Whose orders they are. Every request names one by API key."""

    name = models.CharField(max_length=100, unique=True)
    created_at = models.DateTimeField(db_default=EngineNow(), editable=False)

    def __str__(self) -> str:
        return self.name


class ApiKey(models.Model):
    """A secret that speaks for an account. Only its SHA-256 is kept: the key has 256 random bits, nothing to guess."""

    account = models.ForeignKey(Account, on_delete=models.CASCADE, related_name="api_keys")
    label = models.CharField(
        max_length=100, help_text="Where the key is used, such as “staging bot”."
    )
    prefix = models.CharField(
        max_length=16, editable=False, help_text="The key's first characters, to tell keys apart."
    )
    digest = models.CharField(max_length=64, unique=True, editable=False)
    created_at = models.DateTimeField(db_default=EngineNow(), editable=False)
    revoked_at = models.DateTimeField(null=True, blank=True, editable=False)

    class Meta:
        verbose_name = "API key"

    def __str__(self) -> str:
        return f"{self.prefix}… ({self.label})"


class StreamTicket(models.Model):
    """Opens one socket, once, soon: so that no long-lived secret stands in an address."""

    digest = models.CharField(max_length=64, primary_key=True)
    account = models.ForeignKey(Account, on_delete=models.CASCADE, related_name="+")
    # Of the person who took it, whose sockets it opens: they close when it ends. Empty if a key took it.
    session_key = models.CharField(max_length=40, db_default="")
    expires_at = models.DateTimeField(db_index=True)  # housekeeping: remove_expired_tickets

    def __str__(self) -> str:
        return f"ticket of {self.account_id}"


class Member(models.Model):
    """A person who may sign in and trade for an account: for one, so that a page never has to ask which."""

    user = models.OneToOneField(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="member"
    )
    account = models.ForeignKey(Account, on_delete=models.CASCADE, related_name="members")
    created_at = models.DateTimeField(db_default=EngineNow(), editable=False)

    def __str__(self) -> str:
        return f"{self.user} of {self.account}"
