"""The audit console: what happened to any order, and why. Django's view permission lets an auditor look.

Nobody, superusers included, adds, changes or deletes an order, an attempt or an event here. What can be done is named:
add an account, issue an API key, revoke one.
"""

from django.contrib import admin

from orders.admin.accounts import AccountAdmin, ApiKeyAdmin, MemberAdmin
from orders.admin.orders import OrderAdmin
from orders.admin.venues import VenueStateAdmin
from orders.models import Account, ApiKey, Member, Order, VenueState

admin.site.site_header = "Order Execution Engine"
admin.site.site_title = "Order Execution Engine"
admin.site.index_title = "Audit console"

admin.site.register(Order, OrderAdmin)
admin.site.register(VenueState, VenueStateAdmin)
admin.site.register(Account, AccountAdmin)
admin.site.register(Member, MemberAdmin)
admin.site.register(ApiKey, ApiKeyAdmin)
