"""The addresses of the pages."""

from django.contrib.auth.views import LoginView, LogoutView
from django.urls import path
from django.views.generic import RedirectView

from orders.pages import ops, order, trade, transaction
from orders.pages.sign_in import SignInForm

urlpatterns = [
    path("", trade.page, name="trade"),
    path("orders/<str:order_id>", order.page, name="order"),
    path("transactions/<str:signature>", transaction.page, name="transaction"),
    path("ops", RedirectView.as_view(pattern_name="operations")),
    path("ops/", ops.page, name="operations"),
    path(
        "sign-in",
        LoginView.as_view(
            template_name="pages/sign_in.html",
            authentication_form=SignInForm,
            redirect_authenticated_user=True,
        ),
        name="sign-in",
    ),
    path("sign-out", LogoutView.as_view(), name="sign-out"),
]
