"""Where everything is: the pages, the REST API, the console, and what operations ask."""

from django.contrib import admin
from django.urls import include, path
from django.views.generic import RedirectView

from orders.api.views import health, ready

urlpatterns = [
    path("api/", include("orders.api.urls")),
    path("admin", RedirectView.as_view(url="/admin/")),
    path("admin/", admin.site.urls),
    path("health", health),
    path("ready", ready),
    path("", include("orders.pages.urls")),
]

handler400 = "orders.pages.errors.handler400"
handler403 = "orders.pages.errors.handler403"
handler404 = "orders.pages.errors.handler404"
handler500 = "orders.pages.errors.handler500"
