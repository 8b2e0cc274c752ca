"""A small shop. Where its database is and how to enter it comes from the environment, as in every twelve-factor application."""
import os
import pathlib

BASE_DIR = pathlib.Path(__file__).resolve().parent.parent
SECRET_KEY = os.environ.get("SECRET_KEY", "only for the example")
DEBUG = False
ALLOWED_HOSTS = ["*"]
INSTALLED_APPS = ["django.contrib.contenttypes", "orders"]
MIDDLEWARE = ["django.middleware.common.CommonMiddleware"]
ROOT_URLCONF = "shop.urls"
DATABASES = {"default": {
    "ENGINE": "django.db.backends.postgresql", "HOST": os.environ.get("DATABASE_HOST", "backend"), "PORT": os.environ.get("DATABASE_PORT", "5432"),
    "NAME": os.environ.get("DATABASE_NAME", "shop"), "USER": os.environ.get("DATABASE_USER", "postgres"), "PASSWORD": os.environ.get("DATABASE_PASSWORD", ""),
    "OPTIONS": {"connect_timeout": 5}}}
DEFAULT_AUTO_FIELD = "django.db.models.AutoField"
USE_TZ = True
DATA_DIR = pathlib.Path(os.environ.get("DATA_DIR", "/app/data"))
