import { ActionIcon, Menu, Tooltip, useMantineColorScheme } from "@mantine/core";
import { CircleHelp, Inbox, LogOut, Monitor, Moon, Sun } from "lucide-react";
import { NavLink } from "react-router";
import { logout, useMe } from "../api/session";
import { t } from "../i18n";
import { useFreshness } from "../live/hooks";
import { Avatar } from "../ui/Avatar";
import { useUi } from "../ui/prefs";
import s from "./inbox.module.css";

const schemes = [
  ["light", Sun],
  ["dark", Moon],
  ["auto", Monitor],
] as const;

export function Rail({ horizontal }: { horizontal: boolean }) {
  const me = useMe();
  const freshness = useFreshness();
  const setHelpOpen = useUi((u) => u.setHelpOpen);
  const { colorScheme, setColorScheme } = useMantineColorScheme();
  const CurrentIcon = schemes.find(([name]) => name === colorScheme)?.[1] ?? Monitor;
  const side = horizontal ? "bottom" : "right";
  return (
    <nav className={horizontal ? s.bar : s.rail} aria-label={t("rail.label")}>
      <Tooltip label={t("rail.inbox")} position={side}>
        <NavLink to="/inbox" className={s.railLink ?? ""} aria-label={t("rail.inbox")} data-testid="rail-inbox">
          <Inbox size={20} aria-hidden="true" />
        </NavLink>
      </Tooltip>
      <span className={s.grow} />
      <span className={s.dotBox} title={t(`connection.${freshness}`)}>
        <span className={s.dot} data-state={freshness} data-testid="connection-dot" />
        <span className="sr-only">{t(`connection.${freshness}`)}</span>
      </span>
      <Menu position={horizontal ? "bottom-end" : "right-end"} withinPortal>
        <Menu.Target>
          <ActionIcon variant="subtle" color="gray" size={36} aria-label={t("rail.theme")} data-testid="theme-menu">
            <CurrentIcon size={18} aria-hidden="true" />
          </ActionIcon>
        </Menu.Target>
        <Menu.Dropdown>
          {schemes.map(([name, Icon]) => (
            <Menu.Item
              key={name}
              leftSection={<Icon size={16} aria-hidden="true" />}
              onClick={() => setColorScheme(name)}
              aria-current={name === colorScheme}
              data-testid={`theme-${name}`}
            >
              {t(`rail.theme.${name}`)}
            </Menu.Item>
          ))}
        </Menu.Dropdown>
      </Menu>
      <ActionIcon
        variant="subtle"
        color="gray"
        size={36}
        aria-label={t("rail.help")}
        onClick={() => setHelpOpen(true)}
        data-testid="help-button"
      >
        <CircleHelp size={18} aria-hidden="true" />
      </ActionIcon>
      <Menu position={horizontal ? "bottom-end" : "right-end"} withinPortal>
        <Menu.Target>
          <button type="button" className={s.me} data-testid="account-menu">
            <Avatar id={me.id} name={me.name} />
            <span className="sr-only">{t("rail.account", { name: me.name })}</span>
          </button>
        </Menu.Target>
        <Menu.Dropdown>
          <Menu.Label>{me.name}</Menu.Label>
          <Menu.Item
            leftSection={<LogOut size={16} aria-hidden="true" />}
            onClick={() => void logout()}
            data-testid="logout"
          >
            {t("rail.logout")}
          </Menu.Item>
        </Menu.Dropdown>
      </Menu>
    </nav>
  );
}
