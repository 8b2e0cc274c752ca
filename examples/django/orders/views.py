import socket

from django.conf import settings
from django.http import HttpResponse, HttpResponseNotAllowed, JsonResponse

from orders.models import Order


def page(request):
    """The page: how many orders the database holds, and how often it was looked at, which a file of the volume keeps."""
    settings.DATA_DIR.mkdir(exist_ok=True)
    visits = settings.DATA_DIR / "visits"
    count = int(visits.read_text()) + 1 if visits.exists() else 1
    visits.write_text(str(count))
    return HttpResponse(f"{Order.objects.count()} orders | visit {count} | served by {socket.gethostname()}\n", content_type="text/plain")


def orders(request):
    if request.method == "POST":
        order = Order.objects.create(article=request.POST.get("article", "?"))
        return JsonResponse({"id": order.id, "article": order.article}, status=201)
    if request.method == "GET":
        return JsonResponse({"orders": list(Order.objects.order_by("id").values("id", "article"))})
    return HttpResponseNotAllowed(["GET", "POST"])


def health(request):
    return HttpResponse("ok\n", content_type="text/plain")
