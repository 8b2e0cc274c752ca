from django.db import models


class Order(models.Model):
    article = models.CharField(max_length=100)
    ordered = models.DateTimeField(auto_now_add=True)
