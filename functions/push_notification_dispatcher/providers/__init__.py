"""The push providers by the name that a device's row has. To add one is a file beside this, and a line below."""

from collections.abc import Callable, Mapping

from functions.push_notification_dispatcher.providers.console import Console
from functions.push_notification_dispatcher.providers.expo import Expo
from functions.push_notification_dispatcher.providers.fcm import Fcm
from functions.push_notification_dispatcher.providers.protocol import Provider
from functions.push_notification_dispatcher.providers.settings import ProviderSettings

# Each raises SettingMissing or SettingInvalid, naming the variable, when it lacks what only it needs.
PROVIDERS: Mapping[str, Callable[[ProviderSettings], Provider]] = {
    "console": Console,
    "expo": Expo,
    "fcm": Fcm,
}
