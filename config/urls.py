"""Where everything is: the REST API, the console, and what operations ask."""

from django.contrib import admin
from django.urls import include, path
from django.views.generic import RedirectView

from orders.api.views import health, ready

urlpatterns = [
    path("", RedirectView.as_view(url="/api/docs")),
    path("api/", include("orders.api.urls")),
    path("admin", RedirectView.as_view(url="/admin/")),
    path("admin/", admin.site.urls),
    path("health", health),
    path("ready", ready),
]

handler400 = "orders.api.problems.handler400"
handler403 = "orders.api.problems.handler403"
handler404 = "orders.api.problems.handler404"
handler500 = "orders.api.problems.handler500"
