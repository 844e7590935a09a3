"""The addresses of the REST API."""

from django.urls import path
from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerSplitView

from orders.api import views

urlpatterns = [
    path("orders/execute", views.ExecuteView.as_view(), name="execute"),
    path("orders/batch", views.BatchView.as_view(), name="batch"),
    path("orders", views.OrderListView.as_view(), name="orders"),
    path("orders/<str:order_id>", views.OrderDetailView.as_view(), name="order"),
    path("orders/<str:order_id>/cancel", views.CancelView.as_view(), name="cancel"),
    path("quotes", views.QuotesView.as_view(), name="quotes"),
    path("stream-tickets", views.StreamTicketView.as_view(), name="stream-tickets"),
    path("tokens", views.TokensView.as_view(), name="tokens"),
    path("venues", views.VenuesView.as_view(), name="venues"),
    path("prices", views.PricesView.as_view(), name="prices"),
    path("schema", SpectacularAPIView.as_view(), name="schema"),
    path("docs", SpectacularSwaggerSplitView.as_view(url_name="schema"), name="docs"),
]
