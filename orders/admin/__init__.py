"""The audit console: what happened to any order, and why. Django's view permission lets an auditor look.

Nobody, superusers included, adds, changes or deletes an order, an attempt or an event here. What can be done is named,
has a permission of its own, and is recorded: cancel or requeue an order, end its doubt by two people, add an account,
issue an API key, revoke one, export orders. Who may do what is in `orders.roles`.
"""

from django.contrib import admin
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import User

from orders.admin.accounts import AccountAdmin, ApiKeyAdmin, MemberAdmin
from orders.admin.exports import ExportAdmin
from orders.admin.log import LogEntryAdmin
from orders.admin.orders import OrderAdmin
from orders.admin.resolutions import ResolutionAdmin
from orders.admin.users import UserOfRoles
from orders.admin.venues import VenueStateAdmin
from orders.models import Account, ApiKey, Export, Member, Order, Resolution, VenueState
from orders.pages.sign_in import ConsoleSignInForm

admin.site.site_header = "Order Execution Engine"
admin.site.site_title = "Order Execution Engine"
admin.site.index_title = "Audit console"

admin.site.login_form = ConsoleSignInForm

admin.site.register(Order, OrderAdmin)
admin.site.register(Resolution, ResolutionAdmin)
admin.site.register(Export, ExportAdmin)
admin.site.register(VenueState, VenueStateAdmin)
admin.site.register(Account, AccountAdmin)
admin.site.register(Member, MemberAdmin)
admin.site.register(ApiKey, ApiKeyAdmin)
admin.site.register(LogEntry, LogEntryAdmin)
admin.site.unregister(User)
admin.site.register(User, UserOfRoles)
