"""Small manifests as Python values."""


def pod(name, *command, **spec):
    container = {"name": "main", "image": "estiba/busybox:test", "command": list(command) or ["sleep", "3600"]}
    for key in ("env", "envFrom", "resources", "volumeMounts", "readinessProbe", "livenessProbe", "startupProbe", "lifecycle", "securityContext", "ports", "imagePullPolicy",
                "image", "workingDir", "args", "terminationMessagePolicy", "stdin", "tty"):
        if key in spec:
            container[key] = spec.pop(key)
    labels = spec.pop("labels", {"app": name})
    annotations = spec.pop("annotations", {})
    spec.setdefault("terminationGracePeriodSeconds", 2)
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "labels": labels, "annotations": annotations}, "spec": {"containers": [container], **spec}}


def deployment(name, replicas, *command, **spec):
    made = pod(name, *command, **spec)
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name},
            "spec": {"replicas": replicas, "selector": {"matchLabels": {"app": name}},
                     "template": {"metadata": {"labels": {"app": name}}, "spec": made["spec"]}}}


def service(name, port=80, target=8080, **spec):
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": {"selector": {"app": name}, "ports": [{"port": port, "targetPort": target}], **spec}}


def config_map(name, **data):
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data}


WEB = ("sh", "-c", "mkdir -p /www && hostname > /www/index.html && exec busybox httpd -f -p 8080 -h /www")
