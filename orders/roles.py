"""Who may do what in the console: each role is a group of Django's, and this table is all that it may.

`manage.py prepare` makes the groups say what stands here. Whoever gives out roles can also take one, so an admin may
in the end do everything that a role allows, and nothing that only a superuser may (`orders.admin.users`); what nobody
may do is in `orders.admin.permissions` and in the database.
"""

from django.apps import apps
from django.contrib.auth.models import Group, Permission

AUDITOR, OPERATOR, ADMIN = "auditor", "operator", "admin"


def _views() -> frozenset[str]:
    """Of everything that the engine keeps, and of who did what."""
    models = apps.get_app_config("orders").get_models()
    return frozenset(f"orders.view_{each._meta.model_name}" for each in models)


def table() -> dict[str, frozenset[str]]:
    """Each role with its permissions, as `app.codename`."""
    auditor = _views() | {"orders.export_order", "admin.view_logentry"}
    operator = auditor | {"orders.cancel_order", "orders.requeue_order", "orders.resolve_order"}
    admin = operator | {
        "orders.add_account",
        "orders.add_apikey",
        "orders.change_apikey",  # to revoke it
        "orders.add_member",
        "orders.delete_member",
        # No one deletes a user: that would take along what the log says of them. They are set inactive.
        "auth.add_user",
        "auth.change_user",
        "auth.view_user",
        "auth.view_group",
    }
    return {AUDITOR: auditor, OPERATOR: operator, ADMIN: admin}


def bring_up_to_date() -> None:
    """Make the groups, and give each what the table says and nothing else. Permissions exist after `migrate`."""
    known = {
        f"{app}.{codename}": pk
        for pk, app, codename in Permission.objects.values_list(
            "pk", "content_type__app_label", "codename"
        )
    }
    for role, permissions in table().items():
        group, _ = Group.objects.get_or_create(name=role)
        group.permissions.set([known[each] for each in permissions])
